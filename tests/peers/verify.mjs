// Judges deliveries, one JSON object {raw, headers} a line on stdin, with npm standardwebhooks: each must verify under every secret
// alone, and neither under the stranger's key nor with a byte changed.
// node verify.mjs NODE_MODULES STRANGER SECRET…
import { createInterface } from "node:readline";
import { createRequire } from "node:module";

const [modules, stranger, ...secrets] = process.argv.slice(2);
const { Webhook } = createRequire(`${modules}/`)("standardwebhooks");

function isRefused(secret, raw, headers) {
  try {
    new Webhook(secret).verify(raw, headers);
    return false;
  } catch {
    return true;
  }
}

let judged = 0;
for await (const line of createInterface({ input: process.stdin })) {
  const { raw, headers } = JSON.parse(line);
  for (const secret of secrets) {
    const event = new Webhook(secret).verify(raw, headers);
    if (event.data.event_id !== headers["webhook-id"]) throw new Error("the id is not the event's");
    if (!isRefused(secret, raw.replace('"seq":', '"seq": '), headers)) throw new Error("a changed body was believed");
  }
  if (!isRefused(stranger, raw, headers)) throw new Error("another key was believed");
  judged += 1;
}
if (judged === 0) throw new Error("there was nothing to judge");
