/**
 * An outbox for check-ins: what a phone has recorded is kept in a store until the service has acknowledged it.
 *
 * Every check-in has an id of its own before it is first sent, so that a repeat is known as one. Its `sent_at` is
 * written anew at each try. They are sent in the order in which they were put; what cannot be sent now holds back the
 * rest. A check-in that the service refuses is set aside with the reason, and holds back nothing.
 */
import type { components } from "./api.js";

export type CheckIn = components["schemas"]["CheckInIn"];
export type Receipt = components["schemas"]["CheckInReceipt"];

/** What the outbox keeps. A store writes it all or not at all, and durably, before `save` resolves. */
export interface Kept {
  /** Whose outbox it is; null until the first sign-in, and after a sign-out. */
  patientId: string | null;
  tokens: { access: string; refresh: string } | null;
  waiting: (CheckIn & { id: string })[];
  refused: { body: CheckIn & { id: string }; problem: unknown }[];
}

/** Where the outbox is kept: IndexedDB, a file, the platform's own. It is as private as that is. */
export interface Store {
  load(): Promise<Kept | null>;
  save(kept: Kept): Promise<void>;
  /** Runs something while no other page or worker does; `navigator.locks.request` in a browser. Without it, one
   *  context at a time may use the store. */
  alone?<T>(work: () => Promise<T>): Promise<T>;
}

/** The store is the outbox of another patient. Sign that one out first, or take another store. */
export class OtherPatientError extends Error {}

/** The id of this check-in is that of another one that waits. */
export class RepeatedIdError extends Error {}

/** The tokens no longer work. What waits stays in the outbox until somebody signs in again. */
export class SignedOutError extends Error {}

export interface Options {
  /** Told of each receipt, also of one that was recorded at an earlier try. Told once: what it throws comes out of
   *  `send`, and the receipt does not come again. */
  onReceipt?: (receipt: Receipt) => void;
  /** Told of each refusal, likewise once. Both can hold a `notice`: whom to call now, to be shown at once. */
  onRefused?: (refused: Kept["refused"][number]) => void;
  fetch?: typeof fetch;
  now?: () => Date;
  sleep?: (seconds: number) => Promise<void>;
}

// Refusals after which the same request may succeed later: another try of it is under way, the service is busy, the
// network was too slow, or something in between names a wrong host.
const later = new Set<unknown>(["request_in_progress", "rate_limited", "busy", "request_timeout", "bad_request"]);
const [firstWait, longestWait] = [1, 300];
// Of something in between, that names the far future.
const longestAsked = 3_600;

class TryLater extends Error {
  constructor(readonly after: string | null = null) {
    super("try again later");
  }
}

export class Outbox {
  #tries = 0;
  #sending = false;

  constructor(
    readonly url: string,
    readonly patientId: string,
    readonly store: Store,
    readonly options: Options = {},
  ) {}

  /** Keeps the tokens. The refresh token is stored before it is used: an answer that is lost costs nothing, since the
   *  service takes the one before it as well. */
  async signIn(access: string, refresh: string): Promise<void> {
    await this.#change((kept) => Object.assign(kept, { patientId: this.patientId, tokens: { access, refresh } }));
  }

  /** An access token for other requests: the one that is kept, or a new one where that was `refused`. Throws
   *  SignedOutError. Without a network it gives the old one. */
  async accessToken(refused?: string): Promise<string> {
    const { tokens } = await this.#load();
    if (tokens === null) throw new SignedOutError();
    if (tokens.access !== refused) return tokens.access;
    try {
      if (!(await this.#refresh(tokens.refresh))) throw new SignedOutError();
    } catch (error) {
      if (!(error instanceof TryLater)) throw error;
    }
    const now = (await this.#load()).tokens;
    if (now === null) throw new SignedOutError();
    return now.access;
  }

  /** Forgets the tokens, whose outbox it is, and everything that waits or was refused. */
  async signOut(): Promise<void> {
    await this.#change((kept) =>
      Object.assign(kept, { patientId: null, tokens: null, waiting: [], refused: [] }),
    );
  }

  /** Keeps a check-in, in the store when this resolves. Gives its id. Throws RepeatedIdError, and RangeError for a
   *  `taken_at` without an offset, which the service would refuse. */
  async put(checkIn: CheckIn): Promise<string> {
    if (!/(Z|[+-]\d\d:\d\d)$/i.test(checkIn.taken_at)) throw new RangeError("taken_at must have an offset");
    const { sent_at: _, ...rest } = checkIn;
    const body = { ...rest, id: checkIn.id ?? crypto.randomUUID() };
    await this.#change((kept) => {
      if (kept.waiting.some((one) => one.id === body.id)) throw new RepeatedIdError();
      kept.patientId = this.patientId;
      kept.waiting.push(body);
    });
    return body.id;
  }

  /** How many check-ins are not acknowledged yet. */
  async waiting(): Promise<number> {
    return (await this.#load()).waiting.length;
  }

  /** The check-ins that were refused, for a person to look at. */
  async refused(): Promise<Kept["refused"]> {
    return [...(await this.#load()).refused];
  }

  /** Sends everything that waits, however long it takes. Throws SignedOutError. */
  async deliver(): Promise<void> {
    for (;;) {
      const wait = await this.send();
      if (wait === null) return;
      await (this.options.sleep ?? pause)(wait);
    }
  }

  /** Sends what waits, oldest first, as far as it goes now. Gives the seconds after which to try again; null where
   *  nothing waits. Throws SignedOutError. */
  async send(): Promise<number | null> {
    if (this.#sending) return firstWait;
    this.#sending = true;
    try {
      for (let kept = await this.#load(); kept.waiting[0] !== undefined; kept = await this.#load()) {
        await this.#sendOne(kept.waiting[0]);
        this.#tries = 0;
      }
      return null;
    } catch (error) {
      if (error instanceof TryLater) return this.#wait(error.after);
      throw error;
    } finally {
      this.#sending = false;
    }
  }

  async #sendOne(body: CheckIn & { id: string }): Promise<void> {
    const answer = await this.#post(body);
    const said = await read(answer);
    const code = said["code"];
    const isReceived = answer.ok && "id" in said;
    const isRefused = answer.status >= 400 && answer.status < 500 && code !== undefined && !later.has(code);
    // Anything else is of something in between, or of a service in trouble.
    if (!isReceived && !isRefused) throw new TryLater(answer.headers.get("Retry-After"));
    try {
      if (isReceived) this.options.onReceipt?.(said as unknown as Receipt);
      else this.options.onRefused?.({ body, problem: said });
    } finally {
      // What it throws must not hold back the rest.
      await this.#change((kept) => {
        const left = kept.waiting.filter((one) => one.id !== body.id);
        if (isRefused && left.length < kept.waiting.length) kept.refused.push({ body, problem: said });
        kept.waiting = left;
      });
    }
  }

  async #post(body: CheckIn): Promise<Response> {
    for (const isLast of [false, true]) {
      const { tokens } = await this.#load();
      if (tokens === null) throw new SignedOutError();
      const answer = await this.#fetch(`/v1/patients/${this.patientId}/check-ins`, {
        headers: { "Content-Type": "application/json", Authorization: `Bearer ${tokens.access}` },
        body: JSON.stringify({ ...body, sent_at: (this.options.now ?? (() => new Date()))().toISOString() }),
      });
      if (answer.status !== 401) return answer;
      if (isLast || !(await this.#refresh(tokens.refresh))) throw new SignedOutError();
    }
    throw new SignedOutError();
  }

  /** Gets new tokens. False: they are over. */
  async #refresh(token: string): Promise<boolean> {
    const form = new URLSearchParams({ grant_type: "refresh_token", refresh_token: token });
    const answer = await this.#fetch("/oauth/token", { body: form });
    const found = await read(answer);
    const [access, refresh] = [found["access_token"], found["refresh_token"]];
    if (answer.ok && typeof access === "string" && typeof refresh === "string") {
      await this.#change((kept) => {
        if (kept.tokens?.refresh === token) kept.tokens = { access, refresh }; // else somebody signed out meanwhile
      });
      return true;
    }
    if ((answer.status === 400 || answer.status === 401) && "error" in found) { // RFC 6749, 5.2
      const now = (await this.#load()).tokens;
      return now !== null && now.refresh !== token; // another request has renewed them meanwhile
    }
    throw new TryLater(answer.headers.get("Retry-After"));
  }

  async #fetch(path: string, init: RequestInit): Promise<Response> {
    try {
      return await (this.options.fetch ?? fetch)(this.url.replace(/\/$/, "") + path, { method: "POST", ...init });
    } catch {
      throw new TryLater();
    }
  }

  /** Seconds until the next try: longer with each, drawn at chance so that phones do not come all at once. */
  #wait(after: string | null): number {
    this.#tries += 1;
    const longest = Math.min(longestWait, firstWait * 2 ** Math.min(this.#tries, 10));
    const asked = after !== null && /^\d+$/.test(after) ? Number(after) : 0;
    return Math.max(Math.min(asked, longestAsked), Math.random() * longest);
  }

  /** What is in the store now: another page may have changed it. */
  async #load(): Promise<Kept> {
    const kept = (await this.store.load()) ?? { patientId: null, tokens: null, waiting: [], refused: [] };
    if (kept.patientId !== null && kept.patientId !== this.patientId) throw new OtherPatientError();
    return kept;
  }

  #changes: Promise<unknown> = Promise.resolve();

  /** Changes what is kept: one change after the other, each of what is in the store by then. */
  #change(how: (kept: Kept) => unknown): Promise<void> {
    const change = async (): Promise<void> => {
      const kept = structuredClone(await this.#load());
      how(kept);
      await this.store.save(kept);
    };
    const done = this.#changes.then(() => (this.store.alone ? this.store.alone(change) : change()));
    this.#changes = done.catch(() => undefined);
    return done;
  }
}

/** The JSON object of an answer; empty for anything else. A cut in the middle of it is a cut: nothing is known then. */
async function read(answer: Response): Promise<Record<string, unknown>> {
  let text: string;
  try {
    text = await answer.text();
  } catch {
    throw new TryLater();
  }
  try {
    const found: unknown = JSON.parse(text);
    return typeof found === "object" && found !== null ? (found as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function pause(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
}
