from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from config.kinds import parse_hours
from config.load import BadSettings, load_settings
from config.settings import Settings, Smsc, zone

SHIPPED = Path(__file__).parents[3] / "config" / "toneline.toml"


def errors_of(environment: dict[str, str], path: Path | None = None) -> list[str]:
    with pytest.raises(BadSettings) as refused:
        load_settings(path, environment)
    return refused.value.errors


def test_without_a_file_the_defaults_hold() -> None:
    assert load_settings(None, {}) == Settings()


def test_the_shipped_file_shows_every_key_with_its_default() -> None:
    tree = tomllib.loads(SHIPPED.read_text("utf-8"))
    assert load_settings(SHIPPED, {}) == Settings()
    for name, section in Settings.model_fields.items():
        if name != "smsc":
            fields = section.annotation.model_fields  # type: ignore[union-attr]  # every section is a model
            assert set(tree[name]) == set(fields), name


def test_the_shipped_file_shows_how_an_smsc_is_set() -> None:
    lines = SHIPPED.read_text("utf-8").splitlines()
    start = lines.index("# [[smsc]]")
    keys = []
    for line in lines[start + 1 :]:
        if not line:
            break
        keys.append(line.removeprefix("# ").split(" = ")[0])
    assert keys == list(Smsc.model_fields)


def test_every_key_has_a_sentence_of_help() -> None:
    for name, section in Settings.model_fields.items():
        model: Any = Smsc if name == "smsc" else section.annotation
        for key, field in model.model_fields.items():
            assert field.description, f"{name}.{key}"
            assert field.description.endswith((".", "?")) or ":" in field.description


def test_all_errors_are_told_at_once_with_key_value_and_what_is_allowed(tmp_path: Path) -> None:
    file = tmp_path / "t.toml"
    file.write_text(
        '[line]\nanswer = "later"\ntimezone = "Mars"\n[agi]\nmax_calls = 0\nallow = ["here"]\n'
        '[policy]\nhangup_sms_hours = "8-22"\n[database]\nurl = "mysql://root:hunter2@db/x"\n'
    )
    errors = errors_of({}, file)
    assert len(errors) == 6
    assert any("line.answer = 'later'" in error and "early_media" in error for error in errors)
    assert any("agi.allow.0 = 'here'" in error for error in errors)
    assert any("policy.hangup_sms_hours = '8-22'" in error for error in errors)
    assert not any("hunter2" in error for error in errors)


@pytest.mark.parametrize(
    "key",
    ["TONELINE_LINE__REHEARSAL_DAYS", "TONELINE_POLICY__SPEND_PER_YEAR_FEN"],
)
def test_a_key_that_is_not_built_is_refused(key: str) -> None:
    assert "there is no such key" in errors_of({key: "1"})[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [("[line", "this is not TOML"), ("\xff", "cannot be read")],
)
def test_a_broken_file_is_refused_with_its_name(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "broken.toml"
    file.write_bytes(text.encode("latin-1"))
    (error,) = errors_of({}, file)
    assert said in error
    assert str(file) in error


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert "no such file" in errors_of({}, tmp_path / "absent.toml")[0]


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    file = tmp_path / "t.toml"
    file.write_text('[agi]\nmax_calls = 5\n[line]\nanswer = "immediate"\n')
    settings = load_settings(
        file,
        {
            "TONELINE_AGI__MAX_CALLS": "7",
            "TONELINE_AGI__ALLOW": '["10.0.0.0/8"]',
            "TONELINE_LINE__ANSWER": "early_media",
            "TONELINE_SMSC__0__NAME": "one",
            "TONELINE_SMSC__0__HOST": "192.0.2.1",
            "TONELINE_SMSC__0__SYSTEM_ID": "me",
            "TONELINE_SMSC__0__PASSWORD": "1234",
            "HOME": "/",
        },
    )
    assert settings.agi.max_calls == 7
    assert settings.agi.allow == ["10.0.0.0/8"]
    assert settings.line.answer == "early_media"
    assert (settings.smsc[0].host, settings.smsc[0].password) == ("192.0.2.1", "1234")


def test_the_environment_names_single_items_of_a_list() -> None:
    settings = load_settings(
        None,
        {
            "TONELINE_LINE__ACCESS_NUMBERS__0": "12530019",
            "TONELINE_LINE__ACCESS_NUMBERS__1": "12530020",
        },
    )
    assert settings.line.access_numbers == ["12530019", "12530020"]


@pytest.mark.parametrize(
    "name",
    ["TONELINE_X", "TONELINE_SMSC__5__HOST", "TONELINE_SMSC__0__HOST__X__Y__Z"],
)
def test_a_place_in_the_environment_that_does_not_exist_is_refused(name: str) -> None:
    assert name in errors_of({"TONELINE_SMSC__0__HOST": "h", name: "1"})[0]


def test_a_password_is_never_shown() -> None:
    errors = errors_of({"TONELINE_SIMULATOR__PASSWORD": "much-too-long"})
    assert not any("much-too-long" in error for error in errors)
    assert "much-too-long" not in repr(Smsc(name="a", host="b", system_id="c", password="secret"))


@pytest.mark.parametrize("hours", ["8:00-9:00", "09:00-08:00", "25:00-26:00", "08:00"])
def test_hours_that_are_none_are_refused(hours: str) -> None:
    with pytest.raises(ValueError, match="hours"):
        parse_hours(hours)


def test_hours_may_be_the_whole_day_or_end_at_midnight() -> None:
    assert parse_hours("")[0] < parse_hours("")[1]
    assert parse_hours("08:00-24:00")[1] == parse_hours("")[1]


def test_senders_fall_back_to_the_short_code() -> None:
    settings = load_settings(None, {"TONELINE_SMS__SENDER_OFFER": "106580019"})
    assert settings.sms.sender("offer") == "106580019"
    assert settings.sms.sender("answer") == "12530019"
    assert zone(settings).key == "Asia/Shanghai"


def smscs(*changes: dict[str, object]) -> dict[str, object]:
    base = {"host": "192.0.2.1", "system_id": "line", "password": "x"}
    return {"smsc": [{"name": f"smsc{n}", **base, **change} for n, change in enumerate(changes)]}


def test_prefixes_are_kept_as_numbers_are() -> None:
    settings = Settings.model_validate(smscs({"prefixes": ["139", "86138", "15"]}))
    assert settings.smsc[0].prefixes == ["86139", "86138", "8615"]


@pytest.mark.parametrize("host", ["", "my_smsc", "-a", "a..b", "smsc:2775", "短信", "a" * 64])
def test_a_host_that_nobody_could_look_up_is_refused(host: str) -> None:
    (error,) = (one for one in errors_of({"TONELINE_SMSC__0__HOST": repr(host)}) if "host" in one)
    assert "letters, digits, hyphens and dots" in error


@pytest.mark.parametrize(
    "host", ["smsc", "smsc-1.example.", "192.0.2.1", "2001:db8::1", "fe80::1%eth0"]
)
def test_names_and_addresses_are_hosts(host: str) -> None:
    assert Smsc(name="a", host=host, system_id="c", password="d").host == host


def test_authorities_without_tls_are_refused() -> None:
    errors = errors_of({"TONELINE_SMSC__0__TLS_CA": "ca.pem"})
    assert any("tls_ca" in error and "tls = true" in error for error in errors)


@pytest.mark.parametrize("prefix", ["", "0139", "+86139", "139x", "8"])
def test_a_prefix_no_mobile_number_has_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="the first digits of mobile numbers"):
        Settings.model_validate(smscs({"prefixes": [prefix]}))


def test_several_smscs_need_different_names() -> None:
    assert len(Settings.model_validate(smscs({}, {})).smsc) == 2
    with pytest.raises(ValueError, match="each SMSC needs a name of its own, gw is there twice"):
        Settings.model_validate(smscs({"name": "gw"}, {}, {"name": "gw"}))


def test_calls_cannot_be_placed_without_the_secret() -> None:
    (error,) = errors_of({"TONELINE_AMI__ENABLED": "true"})
    assert "ami.secret" in error
    assert "manager_site.conf" in error
    errors = errors_of({"TONELINE_AMI__SECRET": '"hush\\n"', "TONELINE_AMI__CHANNEL": "PJSIP/x"})
    assert len(errors) == 2
    assert not any("hush" in error for error in errors)


def test_records_are_never_kept_shorter_than_the_law_wants() -> None:
    (error,) = errors_of({"TONELINE_POLICY__RETENTION_DAYS": "149"})
    assert "policy.retention_days" in error
    assert "150" in error
    assert Settings().policy.retention_days == 180


def test_a_pin_may_be_written_as_a_number_and_is_never_shown() -> None:
    settings = load_settings(None, {"TONELINE_LINE__REHEARSAL_PIN": "4711"})
    assert settings.line.rehearsal_pin == "4711"
    assert (
        load_settings(None, {"TONELINE_LINE__REHEARSAL_PIN": "0042"}).line.rehearsal_pin == "0042"
    )
    assert "4711" not in repr(settings)
    assert "123" not in errors_of({"TONELINE_LINE__REHEARSAL_PIN": "123"})[0]


@pytest.mark.parametrize(
    "listen", ["tcp:abc", "tcp:99999", "tcp:", "tcp:80:port=1", "tcp:80:backlog=x", "udp:80", ""]
)
def test_an_endpoint_that_nobody_can_listen_on_is_refused(listen: str) -> None:
    (error,) = errors_of({"TONELINE_AGI__LISTEN": f'"{listen}"'})
    assert "a Twisted endpoint such as tcp:4573:interface=127.0.0.1" in error


@pytest.mark.parametrize(
    "listen",
    ["tcp:0", "tcp:80:interface=::1".replace("::", r"\:\:"), "tcp6:80:10.0.0.1", "unix:/x"],
)
def test_an_endpoint_may_have_an_address(listen: str) -> None:
    assert load_settings(None, {"TONELINE_AGI__LISTEN": listen}).agi.listen == listen


def test_the_simulator_listens_where_our_binds_can_reach_it() -> None:
    (error,) = errors_of({"TONELINE_SIMULATOR__LISTEN": "unix:/tmp/x"})
    assert "simulator.listen" in error


def test_a_database_needs_a_name() -> None:
    for url in ("sqlite:///", "postgresql+psycopg://", "mysql://x"):
        assert "sqlite:///FILE" in errors_of({"TONELINE_DATABASE__URL": url})[0]


@pytest.mark.parametrize(
    "text",
    [
        '[smsc]\nname = "a"\npassword = "s3cret"\n',
        '[[smsc]]\nname = "a"\nhost = "h"\nsystem_id = "t"\npassword = ["s3cret"]\n',
        'smsc = ["s3cret"]\n',
        'database = "postgresql+psycopg://u:s3cret@h/db"\n',
        '[ami]\nport = {secret = "s3cret"}\n',
        '[ami]\nhost = [{secret = "s3cret"}]\n',
        '[line]\nrehearsal_pin = "s3cret"\n',
    ],
)
def test_no_sentence_shows_a_secret_wherever_it_was_put(tmp_path: Path, text: str) -> None:
    file = tmp_path / "t.toml"
    file.write_text(text)
    errors = errors_of({}, file)
    assert errors
    assert "s3cret" not in "".join(errors)


def test_an_error_of_the_environment_names_its_variable(tmp_path: Path) -> None:
    file = tmp_path / "t.toml"
    file.write_text("[agi]\ndrain_s = -1\n")
    environment = {
        "TONELINE_AGI__MAX_CALLS": "0",
        "TONELINE_AGI__ALLOW": '["here"]',
        "TONELINE_AGI__MAX_CAL": "1",
        "TONELINE_SMSC__0__HOST": "h",
    }
    wheres = [error.split(": ")[0] for error in errors_of(environment, file)]
    assert sorted(set(wheres)) == sorted({*environment, str(file)} - {"TONELINE_SMSC__0__HOST"})


def test_what_could_never_work_is_refused() -> None:
    assert "agi.allow = []" in errors_of({"TONELINE_AGI__ALLOW": "[]"})[0]
    smsc = {"NAME": "a", "HOST": "h", "SYSTEM_ID": "t", "PASSWORD": "p", "BIND": "receiver"}
    environment = {f"TONELINE_SMSC__0__{key}": value for key, value in smsc.items()}
    (error,) = errors_of(environment)
    assert error.startswith("settings: smsc: nothing could be sent")
