// node-smpp as a client: `node trips_node.js PORT KIND WINDOW`, as trips_clients.py does it.
'use strict';

const smpp = require('smpp');

const [port, kind, window] = process.argv.slice(2);
const QUESTION = '《茉莉花》2元/月,会员1元。回Y1029订购';

const session = smpp.connect({ url: `smpp://127.0.0.1:${port}` }, () => {
  session.socket.setNoDelay(true); // without it: 23 trips a second
  const account = { system_id: 'bench', password: 'bench', system_type: String(process.pid) };
  session.bind_transceiver(account, () => {
    for (let open = 0; kind === 'submits' && open < Number(window); open++) again();
  });
});

function submit(to, then) {
  session.submit_sm({
    source_addr: '12530019', source_addr_ton: 0, source_addr_npi: 1,
    destination_addr: to, dest_addr_ton: 1, dest_addr_npi: 1,
    short_message: QUESTION, data_coding: 8, registered_delivery: 1,
  }, then);
}

function again() {
  submit('8613905250001', again);
}

session.on('deliver_sm', (pdu) => {
  session.send(pdu.response());
  submit(pdu.source_addr);
});
session.on('close', () => process.exit(0));
session.on('error', () => process.exit(1));
