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
  tokens: { access: string; refresh: string } | null;
  waiting: (CheckIn & { id: string })[];
  refused: { body: CheckIn & { id: string }; problem: unknown }[];
}

/** Where the outbox is kept: IndexedDB, a file, the platform's own. It is as private as that is. */
export interface Store {
  load(): Promise<Kept | null>;
  save(kept: Kept): Promise<void>;
}

/** The tokens no longer work. What waits stays in the outbox until somebody signs in again. */
export class SignedOutError extends Error {}

export interface Options {
  /** Told of each receipt, also of one that was recorded at an earlier try. */
  onReceipt?: (receipt: Receipt) => void;
  fetch?: typeof fetch;
  now?: () => Date;
  sleep?: (seconds: number) => Promise<void>;
}

const later = new Set([408, 425, 429, 500, 502, 503, 504]);
const [firstWait, longestWait] = [1, 300];

class TryLater extends Error {
  constructor(readonly after: string | null = null) {
    super("try again later");
  }
}

export class Outbox {
  #kept: Kept = { tokens: null, waiting: [], refused: [] };
  #opened: Promise<void> | null = null;
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
    await this.#change((kept) => (kept.tokens = { access, refresh }));
  }

  /** Forgets the tokens and everything that waits or was refused. */
  async signOut(): Promise<void> {
    await this.#change((kept) => Object.assign(kept, { tokens: null, waiting: [], refused: [] }));
  }

  /** Keeps a check-in, in the store when this resolves. Gives its id. */
  async put(checkIn: CheckIn): Promise<string> {
    const { sent_at: _, ...rest } = checkIn;
    const body = { ...rest, id: checkIn.id ?? crypto.randomUUID() };
    await this.#change((kept) => kept.waiting.push(body));
    return body.id;
  }

  /** How many check-ins are not acknowledged yet. */
  async waiting(): Promise<number> {
    await this.#open();
    return this.#kept.waiting.length;
  }

  /** The check-ins that were refused, for a person to look at. */
  async refused(): Promise<Kept["refused"]> {
    await this.#open();
    return [...this.#kept.refused];
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
    await this.#open();
    if (this.#sending) return firstWait;
    this.#sending = true;
    try {
      for (let body = this.#kept.waiting[0]; body !== undefined; body = this.#kept.waiting[0]) {
        await this.#sendOne(body);
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
    if (later.has(answer.status) || (answer.status === 409 && codeOf(said) === "request_in_progress")) {
      throw new TryLater(answer.headers.get("Retry-After"));
    }
    if (answer.ok) this.options.onReceipt?.(said as Receipt);
    await this.#change((kept) => {
      kept.waiting = kept.waiting.filter((one) => one.id !== body.id);
      if (!answer.ok) kept.refused.push({ body, problem: said });
    });
  }

  async #post(body: CheckIn): Promise<Response> {
    for (const isLast of [false, true]) {
      if (this.#kept.tokens === null) throw new SignedOutError();
      const answer = await this.#fetch(`/v1/patients/${this.patientId}/check-ins`, {
        headers: { "Content-Type": "application/json", Authorization: `Bearer ${this.#kept.tokens.access}` },
        body: JSON.stringify({ ...body, sent_at: (this.options.now ?? (() => new Date()))().toISOString() }),
      });
      if (answer.status !== 401) return answer;
      if (isLast || !(await this.#refresh(this.#kept.tokens.refresh))) throw new SignedOutError();
    }
    throw new SignedOutError();
  }

  /** Gets new tokens. False: they are over. */
  async #refresh(token: string): Promise<boolean> {
    const form = new URLSearchParams({ grant_type: "refresh_token", refresh_token: token });
    const answer = await this.#fetch("/oauth/token", { body: form });
    if (later.has(answer.status)) throw new TryLater(answer.headers.get("Retry-After"));
    if (!answer.ok) return false;
    const found = (await read(answer)) as { access_token: string; refresh_token: string };
    await this.signIn(found.access_token, found.refresh_token);
    return true;
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
    return Math.max(asked, Math.random() * longest);
  }

  #open(): Promise<void> {
    this.#opened ??= this.store.load().then((kept) => void (this.#kept = kept ?? this.#kept));
    return this.#opened;
  }

  #changes: Promise<unknown> = Promise.resolve();

  /** Changes what is kept, in memory once it is in the store; one change after the other. */
  #change(how: (kept: Kept) => unknown): Promise<void> {
    const done = this.#changes.then(async () => {
      await this.#open();
      const next = structuredClone(this.#kept);
      how(next);
      await this.store.save(next);
      this.#kept = next;
    });
    this.#changes = done.catch(() => undefined);
    return done;
  }
}

/** The JSON of an answer. A cut in the middle of it is a cut: nothing is known then. */
async function read(answer: Response): Promise<unknown> {
  let text: string;
  try {
    text = await answer.text();
  } catch {
    throw new TryLater();
  }
  try {
    return JSON.parse(text);
  } catch {
    if (answer.ok) throw new TryLater();
    return { status: answer.status };
  }
}

function codeOf(said: unknown): unknown {
  return typeof said === "object" && said !== null && "code" in said ? said.code : undefined;
}

function pause(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
}
