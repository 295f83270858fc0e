// A webhook receiver in Node, no package needed: node examples/receiver.mjs whsec_... [port]
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const key = Buffer.from(process.argv[2].replace("whsec_", ""), "base64");
const seen = new Set(); // at least once: the same webhook-id may come again; keep these in your database

function verified(headers, body) {
  const signed = Buffer.concat([Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.`), body]);
  const expected = createHmac("sha256", key).update(signed).digest();
  const fresh = Math.abs(Date.now() / 1000 - Number(headers["webhook-timestamp"])) < 300;
  const fits = (part) => {
    const given = Buffer.from(part.replace("v1,", ""), "base64");
    return given.length === expected.length && timingSafeEqual(given, expected);
  };
  return fresh && (headers["webhook-signature"] ?? "").split(" ").some(fits);
}

const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  const ok = verified(request.headers, body);
  if (ok && !seen.has(request.headers["webhook-id"])) {
    seen.add(request.headers["webhook-id"]);
    const event = JSON.parse(body);
    console.log(event.data.seq, event.type, event.data.text ?? "");
  }
  response.writeHead(ok ? 204 : 401).end();
});
server.listen(Number(process.argv[3] ?? 9000), "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
