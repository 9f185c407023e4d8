// The whole story by the generated TypeScript client: node story.js ADDRESS EMAIL PASSWORD.
import assert from "node:assert/strict";
import { client, type Models } from "holdfast-client";

const [address = "", email = "", password = ""] = process.argv.slice(2);
const form = { "Content-Type": "application/x-www-form-urlencoded" };
const bodySerializer = (body: Record<string, unknown>): string =>
  new URLSearchParams(Object.entries(body).map(([name, value]) => [name, String(value)])).toString();

function given<T>(value: T): NonNullable<T> {
  assert.ok(value !== undefined && value !== null);
  return value;
}

async function token(body: Models["TokenRequest"]): Promise<Models["TokenOut"]> {
  const { data, error } = await client(address).POST("/oauth/token", { body, headers: form, bodySerializer });
  assert.equal(error, undefined);
  return given(data);
}

const first = await token({ grant_type: "password", username: email, password });
const held = await token({ grant_type: "refresh_token", refresh_token: given(first.refresh_token) });
const api = client(address, () => held.access_token);
assert.equal(given((await api.GET("/v1/me")).data).role, "admin");

const day = 86_400_000;
const now = Date.now();
const begun = now - 60 * day;
const iso = (at: number): string => new Date(at).toISOString();
const made = await api.POST("/v1/patients", { body: { external_id: crypto.randomUUID(), label: "A.B." } });
const patient_id = given(made.data).id;
const path = { patient_id };

function checkIn(at: number, answers: number[], pain: number): Models["CheckInIn"] & { id: string } {
  return {
    id: crypto.randomUUID(),
    taken_at: iso(at),
    responses: [{ instrument: "phq-9", answers }, { instrument: "nrs-pain", score: pain }],
  };
}

async function record(body: Models["CheckInIn"]): Promise<Models["CheckInReceipt"]> {
  const { data, response } = await api.POST("/v1/patients/{patient_id}/check-ins", { params: { path }, body });
  assert.equal(response.status, 201);
  return given(data) as Models["CheckInReceipt"];
}

await record(checkIn(begun - 7_200_000, [3, 3, 2, 2, 1, 2, 2, 1, 0], 7));
for (let n = 0; n < 6; n++) {
  const { data } = await api.POST("/v1/patients/{patient_id}/sessions", {
    params: { path },
    body: {
      started_at: iso(begun + 3 * n * day),
      dose_mg_per_kg: 0.5,
      weight_kg: 70,
      side_effects: [{ effect: "dizziness", severity: "mild" }],
    },
  });
  const session = given(data) as Models["SessionOut"];
  assert.deepEqual([session.kind, session.number], ["induction", n + 1]);
}
for (const days of [22, 30, 38, 46, 54]) await record(checkIn(begun + days * day, [1, 1, 0, 1, 0, 0, 1, 0, 0], 3));
const alarming = checkIn(now - 3_600_000, [1, 1, 0, 1, 0, 0, 1, 0, 2], 3);
const receipt = await record(alarming);
assert.equal(receipt.alerts[0]?.kind, "self_harm_item");
assert.ok(receipt.notice);

const again = await api.POST("/v1/patients/{patient_id}/check-ins", { params: { path }, body: alarming });
assert.deepEqual([again.response.status, again.response.headers.get("Replayed")], [200, "true"]);
const conflict = await api.POST("/v1/patients/{patient_id}/check-ins", {
  params: { path },
  body: { ...alarming, taken_at: iso(now - 3_601_000) },
});
assert.deepEqual([conflict.error?.status, conflict.error?.code], [409, "check_in_conflict"]);
const wrong = await api.POST("/v1/patients/{patient_id}/check-ins", {
  params: { path },
  body: checkIn(now - 3_600_000, [9, 0, 0, 0, 0, 0, 0, 0, 0], 3),
});
assert.equal(wrong.error?.errors?.[0]?.pointer, "/responses/0/answers/0");

const one = { path: { patient_id, check_in_id: alarming.id } };
const seen = await api.GET("/v1/patients/{patient_id}/check-ins/{check_in_id}", { params: one });
const amended = await api.POST("/v1/patients/{patient_id}/check-ins/{check_in_id}/amendments", {
  params: { ...one, header: { "If-Match": given(seen.response.headers.get("ETag")) } },
  body: { reason: "keying error", responses: [{ instrument: "nrs-pain", score: 2 }] },
});
assert.equal((given(amended.data) as Models["CheckInReceipt"]).version, 2);
const stale = await api.POST("/v1/patients/{patient_id}/check-ins/{check_in_id}/amendments", {
  params: { ...one, header: { "If-Match": '"1"' } },
  body: { reason: "keying error", responses: [{ instrument: "nrs-pain", score: 1 }] },
});
assert.equal(stale.error?.code, "precondition_failed");

const relief = given((await api.GET("/v1/patients/{patient_id}/relief", { params: { path } })).data);
const mood = given(relief.tracks.find((track) => track.instrument === "phq-9"));
assert.equal(mood.status, "holding");
const best: number = given(mood.best).value;
assert.ok(best < 10);
const outlook = await api.GET("/v1/patients/{patient_id}/relief/outlook", {
  params: { path, query: { instrument: "phq-9" } },
});
assert.ok(given(outlook.data).reason);
const query = { instrument: "phq-9" as const };
const trend = await api.GET("/v1/patients/{patient_id}/trend", { params: { path, query } });
assert.equal(given(trend.data).points[0]?.value, 16);
const picture = await api.GET("/v1/patients/{patient_id}/trend.png", {
  params: { path, query },
  parseAs: "arrayBuffer",
});
assert.equal(Buffer.from(given(picture.data)).subarray(1, 4).toString("latin1"), "PNG");

for (let n = 0; n < 5; n++) await api.POST("/v1/patients", { body: { external_id: crypto.randomUUID() } });
const ids = new Set<string>();
for (let cursor: string | null = null, pages = 0; pages === 0 || cursor !== null; pages++) {
  const page: { data?: Models["PatientList"] | undefined } = await api.GET("/v1/patients", {
    params: { query: { limit: 2, ...(cursor === null ? {} : { cursor }) } },
  });
  for (const patient of given(page.data).items) ids.add(patient.id);
  cursor = given(page.data).next_cursor;
}
assert.ok(ids.size >= 6);
const worklist = given((await api.GET("/v1/worklist", { params: { query: { limit: 50 } } })).data);
assert.ok(worklist.items.length > 0);
const curve = given((await api.GET("/v1/cohorts/durability", { params: { query } })).data);
assert.equal(curve.endpoint, "loss_or_rescue");

const alerts = given((await api.GET("/v1/alerts", { params: { query: { patient_id, late: false } } })).data);
const acknowledged = await api.POST("/v1/alerts/{alert_id}/acknowledgement", {
  params: { path: { alert_id: given(alerts.items[0]).id } },
  body: { disposition: "contacted", note: "Spoke by phone." },
});
assert.equal((given(acknowledged.data) as Models["AlertOut"]).state, "acknowledged");
const stranger = await client(address, "nonsense").GET("/v1/me");
assert.deepEqual([stranger.error?.status, stranger.error?.code], [401, "invalid_token"]);
console.log(JSON.stringify({ patients: ids.size }));
