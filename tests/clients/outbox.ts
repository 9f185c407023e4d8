// What an outbox in TypeScript does with every kind of answer: node outbox.js. Fails at what is wrong.
import assert from "node:assert/strict";
import { OtherPatientError, Outbox, RepeatedIdError, SignedOutError, type Kept, type Options } from "holdfast-client";

type Answer = (body: { id?: string }) => Response;
const form = { taken_at: new Date().toISOString(), responses: [{ instrument: "nrs-pain" as const, score: 3 }] };
const receipt: Answer = (body) => Response.json({ id: body.id }, { status: 201 });
const problem = (status: number, code: string, more = {}): Answer => () =>
  Response.json({ code, status, ...more }, { status });
const page = (status: number): Answer => () => new Response("<html>in between</html>", { status });
const lost: Answer = () => {
  throw new TypeError("fetch failed");
};

class Store {
  text: string | null = null;
  load = async (): Promise<Kept | null> => (this.text === null ? null : (JSON.parse(this.text) as Kept));
  save = async (kept: Kept): Promise<void> => void (this.text = JSON.stringify(kept));
  #last: Promise<unknown> = Promise.resolve();
  alone = <T>(work: () => Promise<T>): Promise<T> => {
    const done = this.#last.then(work, work);
    this.#last = done.catch(() => undefined);
    return done;
  };
}

async function outbox(store: Store, answers: Answer[], asked: string[] = [], more: Options = {}, patient = "p"): Promise<Outbox> {
  const answer: typeof fetch = async (_, init) => {
    const text = String(init?.body);
    asked.push(text);
    return (answers.shift() ?? lost)(text.startsWith("{") ? JSON.parse(text) : {});
  };
  const made = new Outbox("http://service", patient, store, { ...more, fetch: answer });
  await made.signIn("access", "refresh");
  return made;
}

{
  const trouble = [lost, page(521), page(404), page(200), problem(503, "busy"), problem(409, "request_in_progress"),
    problem(408, "request_timeout"), problem(400, "bad_request")];
  const [answers, asked] = [[...trouble], [] as string[]];
  const mine = await outbox(new Store(), answers, asked);
  const ids = [await mine.put(form), await mine.put(form)];
  for (const _ of trouble) {
    assert.notEqual(await mine.send(), null);
    assert.deepEqual([await mine.waiting(), await mine.refused()], [2, []]);
  }
  answers.push(receipt, receipt);
  assert.equal(await mine.send(), null);
  assert.deepEqual(asked.slice(-2).map((text) => JSON.parse(text).id), ids);
}
{
  const told: unknown[] = [];
  const mine = await outbox(new Store(), [problem(422, "invalid", { notice: { text: "Call" } }), receipt], [], {
    onRefused: (one) => told.push(one.body.id),
  });
  const wrong = await mine.put(form);
  await mine.put(form);
  assert.equal(await mine.send(), null);
  assert.deepEqual(told, [wrong]);
  assert.equal((await mine.refused()).length, 1);
}
{
  const [store, asked] = [new Store(), [] as string[]];
  const tokens: Answer = () => Response.json({ access_token: "new", refresh_token: "next" });
  const expired = problem(401, "invalid_token");
  const mine = await outbox(store, [expired, lost, expired, tokens, receipt], asked);
  await mine.put(form);
  assert.notEqual(await mine.send(), null);
  assert.equal(await mine.send(), null);
  assert.equal(asked.filter((text) => text.includes("refresh_token=refresh")).length, 2);
  assert.equal((await store.load())?.tokens?.refresh, "next");
}
{
  const over: Answer = () => Response.json({ error: "invalid_grant" }, { status: 400 });
  const mine = await outbox(new Store(), [problem(401, "invalid_token"), over]);
  await mine.put(form);
  await assert.rejects(mine.send(), SignedOutError);
  assert.equal(await mine.waiting(), 1);
}
{
  const fails = (): void => {
    throw new Error("of the app");
  };
  const answers = [receipt, problem(422, "invalid"), receipt];
  const mine = await outbox(new Store(), answers, [], { onReceipt: fails, onRefused: fails });
  for (const _ of answers) await mine.put(form);
  for (const left of [2, 1, 0]) {
    await assert.rejects(mine.send(), /of the app/);
    assert.equal(await mine.waiting(), left);
  }
  assert.equal((await mine.refused()).length, 1);
  await assert.rejects(mine.put({ ...form, taken_at: "2026-03-01T10:00:00" }), RangeError);
}
{
  const tokens: Answer = () => Response.json({ access_token: "new", refresh_token: "next" });
  const mine = await outbox(new Store(), [lost, problem(503, "busy"), tokens]);
  assert.equal(await mine.accessToken(), "access");
  for (const expected of ["access", "access", "new", "new"])
    assert.equal(await mine.accessToken("access"), expected);
}
{
  const store = new Store();
  const [one, two] = [await outbox(store, []), await outbox(store, [])];
  await Promise.all([one.put(form), two.put(form), one.put(form)]);
  assert.equal((await store.load())?.waiting.length, 3);
  const id = await one.put(form);
  await assert.rejects(two.put({ ...form, id }), RepeatedIdError);
  await assert.rejects(new Outbox("http://service", "other", store).put(form), OtherPatientError);
  await one.signOut();
  assert.equal(await new Outbox("http://service", "other", store).waiting(), 0);
}
console.log("seven stories");
