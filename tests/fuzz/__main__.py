"""Damage PDUs for as long as it is wanted.

    python -m tests.fuzz [--minutes 60] [--seed 1]

Every round is made from the seed and its number alone: what failed is run again by
`--seed SEED --round NUMBER`.
"""

from __future__ import annotations

import argparse
import time

from tests.fuzz.checks import PDUS_A_ROUND, run_round


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="default: the time")
    parser.add_argument("--round", type=int, help="this round alone")
    given = parser.parse_args()
    if given.round is not None:
        print(f"{run_round(given.seed, given.round)} of {PDUS_A_ROUND} were valid")
        return
    end, rounds, accepted = time.monotonic() + given.minutes * 60, 0, 0
    while time.monotonic() < end:
        accepted += run_round(given.seed, rounds)
        rounds += 1
        if rounds % 500 == 0:
            print(f"{rounds * PDUS_A_ROUND} PDUs, {accepted} still valid", flush=True)
    print(f"seed {given.seed}: {rounds * PDUS_A_ROUND} PDUs in {rounds} rounds, {accepted} valid")


if __name__ == "__main__":
    main()
