// As cut.py does: node cut.js ADDRESS PATIENT ACCESS REFRESH STEP.
import assert from "node:assert/strict";
import { Outbox, type Kept } from "holdfast-client";

const [address = "", patient = "", access = "", refresh = "", step = ""] = process.argv.slice(2);
let kept: string | null = null;
const store = {
  load: async (): Promise<Kept | null> => (kept === null ? null : (JSON.parse(kept) as Kept)),
  save: async (what: Kept): Promise<void> => void (kept = JSON.stringify(what)),
};
const receipts: string[] = [];
const outbox = new Outbox(address, patient, store, {
  onReceipt: (receipt) => receipts.push(receipt.id),
  sleep: async () => undefined,
});

async function cut(body: object): Promise<boolean> {
  const answer = await fetch(`${address}/cut`, { method: "POST", body: JSON.stringify(body) });
  return ((await answer.json()) as { was_cut: boolean }).was_cut;
}

await outbox.signIn(access, refresh);
const begun = Date.now() - 20 * 86_400_000;
const put: string[] = [];
for (const which of ["request", "answer"]) {
  for (let after = 0; ; after += Number(step)) {
    await cut({ which, after });
    const taken_at = new Date(begun + 60_000 * put.length).toISOString();
    put.push(await outbox.put({ taken_at, responses: [{ instrument: "nrs-pain", score: put.length % 11 }] }));
    await outbox.deliver();
    if (!(await cut({}))) break; // the place lies behind the end
  }
}
assert.equal(await outbox.waiting(), 0);
assert.deepEqual(await outbox.refused(), []);
console.log(JSON.stringify({ put, receipts }));
