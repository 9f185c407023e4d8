/**
 * What a patient's app does between its screens: node mobile_app.js ADDRESS FILE [CODE], once it is compiled.
 *
 * With a CODE it enrols the phone first. Then it shows what is due, keeps an answer to each instrument in the outbox, and
 * sends what waits. It may be stopped anywhere, and run again without a network: what was answered is in FILE until the
 * service has acknowledged it. On a phone the store is the platform's own encrypted one in place of a file; `ask` shows
 * a form, and `show` what a person must see at once.
 */
import { existsSync } from "node:fs";
import { readFile, rename, writeFile } from "node:fs/promises";
import { client, OtherPatientError, Outbox, SignedOutError, type CheckIn, type Kept, type Models, type Store } from "holdfast-client";

const [address = "", file = "", code] = process.argv.slice(2);
const device = `${file}.device`;

/** Written beside and moved into place, so that a cut leaves the earlier state or the new one. */
const store: Store = {
  load: async () => (existsSync(file) ? (JSON.parse(await readFile(file, "utf8")) as Kept) : null),
  save: async (kept) => {
    await writeFile(`${file}.new`, JSON.stringify(kept), { mode: 0o600, flush: true });
    await rename(`${file}.new`, file);
  },
};

const show = (text: string): void => console.log(text);
/** The patient's answer; here always 3 of 10. */
const ask = (instrument: "nrs-mood" | "nrs-anxiety" | "nrs-pain"): CheckIn["responses"][number] => ({ instrument, score: 3 });

async function enrol(code: string): Promise<string> {
  const { data, error } = await client(address).POST("/v1/enrolments/redeem", { body: { code, device_name: "phone" } });
  if (data?.patient_id == null || data.refresh_token == null) throw new Error(`the code was refused: ${error?.code}`);
  await new Outbox(address, data.patient_id, store).signIn(data.access_token, data.refresh_token);
  await writeFile(device, data.patient_id, { flush: true }); // last: without it, the phone is enrolled anew
  return data.patient_id;
}

/** What is due and neither answered nor in the outbox; nothing that is known without a network. */
async function due(outbox: Outbox, refused?: string): Promise<Models["DueOut"][]> {
  const token = await outbox.accessToken(refused);
  const found = await client(address, token).GET("/v1/me/due").catch(() => undefined);
  if (found?.response.status === 401 && refused === undefined) return due(outbox, token); // it is good for 15 minutes
  return found?.data?.items.filter((item) => item.state === "due" || item.state === "overdue") ?? [];
}

async function run(): Promise<string> {
  const patientId = code === undefined ? await readFile(device, "utf8") : await enrol(code);
  const outbox = new Outbox(address, patientId, store, {
    onReceipt: (receipt) => receipt.notice && show(receipt.notice.text),
    onRefused: (one) => {
      const { detail, notice } = one.problem as Models["RefusalOut"];
      show(notice?.text ?? `not taken: ${detail}`);
    },
  });
  // First what waits: what it answers is due no longer.
  if ((await outbox.send()) === null) {
    const missing = new Set((await due(outbox)).flatMap((item) => item.missing));
    const scales = (["nrs-mood", "nrs-anxiety", "nrs-pain"] as const).filter((one) => missing.has(one));
    if (scales.length > 0) await outbox.put({ taken_at: new Date().toISOString(), responses: scales.map(ask) });
    await outbox.send();
  }
  const waiting = await outbox.waiting();
  return waiting === 0 ? "nothing waits on this phone" : `saved on this phone: ${waiting}`;
}

try {
  show(await run());
} catch (error) {
  if (error instanceof OtherPatientError) show("sign the other patient out first: what waits is theirs");
  else if (error instanceof SignedOutError) show("enrol this phone again: what waits is kept"); // the same patient
  else throw error;
}
