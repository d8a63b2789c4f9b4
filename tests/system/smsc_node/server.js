// An SMSC to test against that shares no line with Toneline: node-smpp reads and writes the wire.
//
// node server.js SMPP_PORT HTTP_PORT [PEM], with PEM over TLS. By HTTP it is told what to do and what goes wrong, in the same
// words as Toneline's own simulator: POST /mo, GET /mt, GET /state, POST /script, POST /rules.
'use strict';

const fs = require('fs');
const http = require('http');
const smpp = require('smpp');

const SYSTEM_ID = 'toneline';
const PASSWORD = 'secret';
const AGAIN = new Set([0x14, 0x58, 0x08, 0x64, 0x04]);
const STATES = ['', 'ENROUTE', 'DELIVRD', 'EXPIRED', 'DELETED', 'UNDELIV', 'ACCEPTD', 'UNKNOWN', 'REJECTD'];
const STATUS = { RTHROTTLED: 0x58, RMSGQFUL: 0x14, RSYSERR: 0x08, RX_T_APPN: 0x64, RALYBND: 0x05, RINVDSTADR: 0x0b };
const PROFILE = { tps: 0, queue: 0, response_delay_s: 0, window: 10, deliver_timeout_s: 30, retry_s: 1, enquire_link_s: 0, mo_id_tlv: 0 };
const RECEIPT = { state: 'DELIVRD', intermediate: [], final_first: false, by: 'both', message_id: 'same', before_response: false, bind: 'any', delay_s: 0.2, jitter_s: 0, copies: 1 };

smpp.addTLV('mo_id', { id: 0x1400, type: smpp.types.tlv.cstring });

let profile = { ...PROFILE };
let receipt = { ...RECEIPT };
let rules = [];
let nextId = Date.now() * 1000;
let undelivered = 0;
const binds = [];
const waiting = [];
const held = [];
const mts = [];
const parts = new Map();
const acceptedAt = [];
const counts = {};

const count = (name) => { counts[name] = (counts[name] || 0) + 1; };
const later = (seconds, does) => (seconds > 0 ? setTimeout(does, seconds * 1000) : does());
const newId = () => (++nextId).toString(16);

// ---- rules

function choose(on, subject = {}) {
  let chosen = null;
  for (const rule of rules) {
    if (rule.on !== on) continue;
    if (rule.destination && !new RegExp(rule.destination).test(subject.destination || '')) continue;
    if (rule.text && !new RegExp(rule.text).test(subject.text || '')) continue;
    rule.met = (rule.met || 0) + 1;
    const n = rule.met - (rule.after || 0);
    if (chosen || n <= 0 || n % (rule.every || 1)) continue;
    if (rule.times && (rule.used || 0) >= rule.times) continue;
    rule.used = (rule.used || 0) + 1;
    chosen = rule;
  }
  return chosen;
}

function statusOf(rule) {
  if (typeof rule.status === 'string') return STATUS[rule.status];
  return rule.status || STATUS.RTHROTTLED;
}

const withLength = (octets) => { octets.writeUInt32BE(octets.length, 0); return octets; };

// The kinds of Toneline's own simulator (docs/simulator.md), each made by hand from a right PDU.
const BREAKS = {
  length: (octets) => { octets.writeUInt32BE(4, 0); return octets; },
  huge: (octets) => { octets.writeUInt32BE(0x7fffffff, 0); return octets.subarray(0, 16); },
  truncated: (octets) => {
    const body = octets.subarray(16);
    return withLength(Buffer.concat([octets.subarray(0, 16), body.length ? body.subarray(0, body.length >> 1) : Buffer.from([1])]));
  },
  unterminated: (octets) => withLength(Buffer.concat([octets.subarray(0, 16), Buffer.alloc(200, 'A')])),
  sm_length: (octets) => {
    if (octets.readUInt32BE(4) !== 5) return BREAKS.truncated(octets);
    let at = 16;
    // service_type, source_addr, destination_addr, both times: each a string, and octets behind it.
    for (const behind of [2, 2, 3, 0, 4]) at = octets.indexOf(0, at) + 1 + behind;
    octets[at] = 255;
    return withLength(octets.subarray(0, Math.min(octets.length, at + 101)));
  },
  tlv: (octets) => withLength(Buffer.concat([octets, Buffer.from([0x14, 0x00, 0x7f, 0xff, 1, 2])])),
  command: (octets) => { octets.writeUInt32BE(0x777, 4); return octets; },
  sequence: (octets) => { octets.writeUInt32BE(0x7abcdef0, 12); return octets; },
  garbage: () => Buffer.from(Array.from({ length: 64 }, (_, n) => (n * 151 + 89) & 0xff)),
};

const malformed = (pdu, kind = 'length') => BREAKS[kind](pdu.toBuffer());

function act(session, rule) {
  if (session.isOver) return;
  if (rule.do === 'unbind') unbind(session);
  else if (rule.do.startsWith('drop')) cut(session);
  else if (rule.do === 'stall') {
    session.isStalled = true;
    if (rule.for_s) later(rule.for_s, () => { session.isStalled = false; pump(); });
  } else if (rule.do === 'outbind') write(session, new smpp.PDU('outbind', { system_id: 'node', password: PASSWORD, sequence_number: ++session.sequence }));
  else if (rule.do === 'malformed') raw(session, malformed(new smpp.PDU('enquire_link', { sequence_number: ++session.sequence }), rule.kind));
  else throw new Error(`no such act: ${rule.do}`);
}

// ---- the wire

function raw(session, octets) {
  if (!session.isOver && !session.isStalled && session.socket.writable) session.socket.write(octets);
}

const write = (session, pdu) => raw(session, pdu.toBuffer());

function cut(session) {
  session.isOver = true;
  session.socket.destroy();
}

function unbind(session) {
  session.isUnbinding = true;
  write(session, new smpp.PDU('unbind', { sequence_number: ++session.sequence }));
}

function respond(session, response, rule) {
  const does = rule ? rule.do : '';
  if (does === 'lose' || does === 'ignore') return;
  const octets = does === 'malformed' ? malformed(response, rule.kind) : response.toBuffer();
  if (does === 'reorder') {
    const late = { octets, left: rule.count || 1 };
    session.late.push(late);
    later(rule.delay_s || 1, () => release(session, late));
    return;
  }
  const delay = profile.response_delay_s + (does === 'delay' ? rule.delay_s : 0);
  later(delay, () => {
    raw(session, octets);
    for (const late of [...session.late]) if (--late.left <= 0) release(session, late);
  });
  if (does === 'repeat') for (let n = 0; n < (rule.count || 1); n++) later(delay + (rule.delay_s || 0), () => raw(session, octets));
}

function release(session, late) {
  const at = session.late.indexOf(late);
  if (at < 0) return;
  session.late.splice(at, 1);
  raw(session, late.octets);
}

// ---- to the application

function pump() {
  while (waiting.length) {
    const delivery = waiting[0];
    const alive = binds.filter((one) => one.mode !== 'bind_transmitter' && !one.isOver && !one.isUnbinding && !one.isStalled);
    const wished = alive.filter((one) => delivery.wish === 'any' || !delivery.wish || (one === delivery.session) === (delivery.wish === 'same'));
    // What is wished to go one way waits for room there: on another it could be overtaken.
    const session = (wished.length ? wished : alive).find((one) => one.unanswered.size < profile.window);
    if (!session) return;
    waiting.shift();
    binds.push(...binds.splice(binds.indexOf(session), 1));
    deliver(session, delivery);
  }
}

function deliver(session, delivery) {
  let rule = null;
  if (delivery.isMo && !delivery.isRuled) {
    delivery.isRuled = true;
    delivery.rule = rule = choose('deliver', delivery);
    if (rule && rule.do === 'delay') { later(rule.delay_s, () => { waiting.push(delivery); pump(); }); return; }
    if (rule && rule.do === 'reorder') {
      delivery.left = rule.count || 1;
      held.push(delivery);
      later(rule.delay_s || 1, () => unhold(delivery));
      return;
    }
  }
  const sequence = ++session.sequence;
  const pdu = new smpp.PDU('deliver_sm', { ...delivery.fields, sequence_number: sequence });
  session.unanswered.set(sequence, delivery);
  raw(session, rule && rule.do === 'malformed' ? malformed(pdu, rule.kind) : pdu.toBuffer());
  count('delivered');
  later(profile.deliver_timeout_s, () => {
    if (session.unanswered.get(sequence) !== delivery) return;
    session.unanswered.delete(sequence);
    again(delivery);
  });
  if (rule && rule.do === 'drop_before') { session.isOver = true; session.socket.end(); }
  if (rule && rule.do === 'repeat') {
    for (let n = 0; n < (rule.count || 1); n++) later(rule.delay_s || 0, () => { waiting.push({ ...delivery, isMo: false }); pump(); });
  }
  for (const one of [...held]) if (--one.left <= 0) unhold(one);
}

function unhold(delivery) {
  const at = held.indexOf(delivery);
  if (at < 0) return;
  held.splice(at, 1);
  waiting.push(delivery);
  pump();
}

function again(delivery, seconds) {
  count('deliver_again');
  later(seconds || profile.retry_s, () => { waiting.push(delivery); pump(); });
}

function answered(session, pdu) {
  const delivery = session.unanswered.get(pdu.sequence_number);
  if (!delivery) return;
  const does = delivery.rule ? delivery.rule.do : '';
  const rule = delivery.rule;
  delivery.rule = null;
  if (does === 'drop_after') { cut(session); return; }
  session.unanswered.delete(pdu.sequence_number);
  if (does === 'lose' || does === 'malformed') again(delivery, rule.delay_s);
  else if (AGAIN.has(pdu.command_status)) again(delivery);
  else if (delivery.isMo && --delivery.mo.open === 0) { count('mo_answered'); counts.mo_status = Math.max(counts.mo_status || 0, pdu.command_status); }
  pump();
}

// ---- from the application

function submit(session, pdu) {
  count('submitted');
  const text = textOf(pdu);
  const rule = choose('submit', { destination: pdu.destination_addr, text });
  const does = rule ? rule.do : '';
  if (['drop_before', 'stall', 'ignore'].includes(does)) {
    if (does !== 'ignore') act(session, rule);
    return;
  }
  let status = does === 'refuse' ? statusOf(rule) : 0;
  if (!status && profile.tps) {
    while (acceptedAt.length && acceptedAt[0] <= Date.now() - 1000) acceptedAt.shift();
    if (acceptedAt.length >= profile.tps) status = STATUS.RTHROTTLED;
  }
  if (!status && profile.queue && undelivered >= profile.queue) status = STATUS.RMSGQFUL;
  if (status) {
    count('refused');
    respond(session, pdu.response({ command_status: status }), null);
    return;
  }
  acceptedAt.push(Date.now());
  const id = newId();
  count('accepted');
  keep(pdu, text, id);
  report(session, pdu, id);
  if (does === 'drop_after') { act(session, rule); return; }
  respond(session, pdu.response({ message_id: id }), rule);
  if (does === 'unbind') unbind(session);
}

function textOf(pdu) {
  const content = pdu.message_payload || pdu.short_message || {};
  const text = content.message === undefined ? content : content.message;
  return Buffer.isBuffer(text) ? text.toString('latin1') : String(text);
}

// Where a part belongs: [how it travels, reference, of how many, which]; null for a whole text.
function placeOf(pdu) {
  for (const one of (pdu.short_message || {}).udh || []) {
    if (one[0] === 0 && one[1] === 3) return ['udh8', one[2], one[3], one[4]];
    if (one[0] === 8 && one[1] === 4) return ['udh16', one.readUInt16BE(2), one[4], one[5]];
  }
  if (pdu.sar_total_segments > 1) return ['sar', pdu.sar_msg_ref_num, pdu.sar_total_segments, pdu.sar_segment_seqnum];
  return null;
}

function keep(pdu, text, id) {
  const place = placeOf(pdu);
  const mt = { at: new Date().toISOString(), source: pdu.source_addr, destination: pdu.destination_addr };
  if (!place) {
    mts.push({ ...mt, n: mts.length + 1, text, parts: 1, message_ids: [id], long_messages: pdu.message_payload ? 'payload' : '' });
    return;
  }
  const [way, reference, total, number] = place;
  const key = [pdu.source_addr, pdu.destination_addr, reference, total].join('/');
  const there = parts.get(key) || {};
  there[number] = [...(there[number] || []), { text, id }];
  parts.set(key, there);
  if (Object.keys(there).length < total) return;
  const inOrder = Object.keys(there).map(Number).sort((a, b) => a - b).map((n) => there[n].shift());
  if (Object.values(there).every((left) => !left.length)) parts.delete(key);
  else for (const n of Object.keys(there)) if (!there[n].length) delete there[n];
  mts.push({ ...mt, n: mts.length + 1, text: inOrder.map((one) => one.text).join(''), parts: inOrder.length, message_ids: inOrder.map((one) => one.id), long_messages: way });
}

function report(session, pdu, id) {
  const rule = choose('receipt', { destination: pdu.destination_addr });
  const form = rule && rule.receipt ? { ...receipt, ...rule.receipt } : receipt;
  undelivered++;
  const tell = () => {
    undelivered--;
    if (!(pdu.registered_delivery & 1) || (rule && rule.do === 'never')) return;
    const told = form.intermediate.map((state) => [state, 0x20]);
    told.splice(form.final_first ? 0 : told.length, 0, [form.state, 0x04]);
    for (const [state, esm] of told) {
      for (let n = 0; n < form.copies; n++) waiting.push({ fields: receiptOf(pdu, id, state, esm, form), wish: form.bind, session });
    }
    pump();
  };
  if (form.before_response) tell();
  else setTimeout(tell, (profile.response_delay_s + form.delay_s + Math.random() * form.jitter_s) * 1000);
}

function receiptOf(pdu, id, state, esm, form) {
  const number = parseInt(id, 16);
  const written = { same: id, hex: id, upper: id.toUpperCase(), decimal: String(number), padded: id.padStart(20, '0') }[form.message_id];
  const fields = { source_addr: pdu.destination_addr, destination_addr: pdu.source_addr, esm_class: esm, data_coding: 0, short_message: '' };
  if (form.by !== 'tlv') {
    const named = form.by === 'nothing' ? '' : `id:${written} `;
    fields.short_message = `${named}sub:001 dlvrd:001 submit date:2611221200 done date:2611221201 stat:${state} err:000 text:`;
  }
  if (form.by === 'both' || form.by === 'tlv') {
    fields.receipted_message_id = written;
    fields.message_state = STATES.indexOf(state);
  }
  return fields;
}

// ---- connections

const pem = process.argv[4] ? fs.readFileSync(process.argv[4]) : null;
const server = smpp.createServer(pem ? { key: pem, cert: pem } : {}, (session) => {
  session.socket.setNoDelay(true);
  Object.assign(session, { late: [], unanswered: new Map() });
  session.on('error', () => { if (!session.isOver) cut(session); });
  session.on('close', () => {
    session.isOver = true;
    const at = binds.indexOf(session);
    if (at >= 0) binds.splice(at, 1);
    waiting.unshift(...session.unanswered.values());
    session.unanswered.clear();
    pump();
  });
  session.on('pdu', (pdu) => { if (!session.isOver && !session.isStalled) received(session, pdu); });
  const rule = choose('connect');
  if (rule) later(rule.delay_s || 0, () => act(session, rule));
});

function received(session, pdu) {
  if (session.isUnbinding) {
    if (pdu.command === 'unbind_resp') session.socket.end();
    return;
  }
  if (pdu.command.startsWith('bind_') && !pdu.isResponse()) bind(session, pdu);
  else if (pdu.command === 'submit_sm') submit(session, pdu);
  else if (pdu.command === 'deliver_sm_resp' || pdu.command === 'generic_nack') answered(session, pdu);
  else if (pdu.command === 'unbind') { write(session, pdu.response()); session.isOver = true; session.socket.end(); }
  else if (pdu.command === 'enquire_link') {
    const rule = choose('enquire_link');
    if (rule && ['drop', 'stall'].includes(rule.do)) act(session, rule);
    else respond(session, pdu.response(), rule);
  } else if (pdu.command === 'enquire_link_resp') session.isAsked = false;
}

function bind(session, pdu) {
  const good = pdu.system_id === SYSTEM_ID && pdu.password === PASSWORD;
  const rule = good ? choose('bind') : null;
  if (rule && ['drop', 'stall'].includes(rule.do)) { act(session, rule); return; }
  if (!good || (rule && rule.do !== 'delay')) {
    count('binds_refused');
    const status = good && rule.do === 'refuse' ? statusOf(rule) : 0x0e;
    respond(session, pdu.response({ command_status: status }), rule);
    return;
  }
  later(rule ? rule.delay_s : 0, () => {
    if (session.isOver) return;
    write(session, pdu.response({ system_id: 'node' }));
    count('binds');
    session.mode = pdu.command;
    binds.push(session);
    if (profile.enquire_link_s) enquire(session);
    const after = choose('bound');
    if (after) later(after.delay_s || 0, () => act(session, after));
    pump();
  });
}

function enquire(session) {
  setTimeout(() => {
    if (session.isOver) return;
    if (session.isAsked) { count('enquire_unanswered'); cut(session); return; }
    session.isAsked = true;
    count('enquired');
    write(session, new smpp.PDU('enquire_link', { sequence_number: ++session.sequence }));
    enquire(session);
  }, profile.enquire_link_s * 1000);
}

// ---- HTTP

let references = 0;

// The fields of each deliver_sm that a text takes.
function segments(octets, way) {
  if (octets.length <= 140) return [{ short_message: octets }];
  if (way === 'payload') return [{ short_message: '', message_payload: octets }];
  const reference = ++references & 0xff;
  const pieces = [];
  for (let at = 0; at < octets.length; at += 132) pieces.push(octets.subarray(at, at + 132));
  return pieces.map((piece, n) => {
    if (way === 'sar') return { short_message: piece, sar_msg_ref_num: reference, sar_total_segments: pieces.length, sar_segment_seqnum: n + 1 };
    const udh = way === 'udh16' ? [6, 8, 4, 0, reference, pieces.length, n + 1] : [5, 0, 3, reference, pieces.length, n + 1];
    return { esm_class: 0x40, short_message: Buffer.concat([Buffer.from(udh), piece]) };
  });
}

function asked(method, url, body) {
  if (method === 'POST' && url.pathname === '/mo') {
    const octets = body.octets === undefined ? Buffer.from(body.text, 'utf16le').swap16() : Buffer.from(body.octets, 'hex');
    const fields = { source_addr: body.from, destination_addr: body.to, source_addr_ton: 1, source_addr_npi: 1, data_coding: body.octets === undefined ? 8 : body.data_coding || 0 };
    const all = segments(octets, body.long_messages || 'udh8');
    const chosen = (body.only || all.map((_, n) => n + 1)).map((n) => all[n - 1]);
    const mo = { open: chosen.length };
    const id = newId();
    chosen.forEach((part, n) => {
      const own = profile.mo_id_tlv ? { mo_id: chosen.length > 1 ? `${id}.${n}` : id } : {};
      waiting.push({ fields: { ...fields, ...part, ...own }, mo, isMo: true, destination: body.to, text: body.text || '' });
    });
    count('mo');
    pump();
    return {};
  }
  if (method === 'GET' && url.pathname === '/mt') {
    const since = Number(url.searchParams.get('since') || 0);
    const to = url.searchParams.get('to') || '';
    return mts.filter((mt) => mt.n > since && mt.destination.endsWith(to));
  }
  if (method === 'GET' && url.pathname === '/state') {
    return { binds: binds.map((one) => ({ mode: one.mode })), counts, last: mts.length, waiting: waiting.length + held.length, undelivered };
  }
  if (method === 'POST' && url.pathname === '/script') {
    profile = { ...PROFILE, ...(body.smsc || {}) };
    receipt = { ...RECEIPT, ...(body.receipt || {}) };
    rules = body.rule || [];
    return {};
  }
  if (method === 'POST' && url.pathname === '/rules') {
    for (const rule of Array.isArray(body) ? body : [body]) {
      if (rule.on !== 'now') rules.push(rule);
      else for (const session of [...binds]) later(rule.delay_s || 0, () => act(session, rule));
    }
    return {};
  }
  throw new Error(`${method} ${url.pathname}: there is no such thing`);
}

const web = http.createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    let code = 200;
    let answer;
    try {
      const text = Buffer.concat(chunks).toString('utf8');
      answer = asked(request.method, new URL(request.url, 'http://localhost'), text ? JSON.parse(text) : {});
    } catch (error) {
      code = 400;
      answer = { error: String(error.stack) };
    }
    response.writeHead(code, { 'content-type': 'application/json' });
    response.end(JSON.stringify(answer));
  });
});

server.listen(Number(process.argv[2]), '127.0.0.1', () => {
  web.listen(Number(process.argv[3]), '127.0.0.1', () => console.log('ready:'));
});
