/* The check-in on a phone: one question at a time; answers are kept on the phone, encrypted, until the clinic has them.

   The key is made in this browser, cannot be taken out of it, and is deleted when the phone is removed. An answer is
   deleted when it is received. The same id is sent at each try, so nothing is recorded twice. */
'use strict';
const app = document.getElementById('app');
const form = document.getElementById('check-in');
const told = document.getElementById('words').dataset;
const state = document.getElementById('state');
const DAY = 24 * 60 * 60 * 1000;
const RETRY = 15 * 1000;

const say = (text) => { state.textContent = text; state.hidden = !text; };

/* What is kept. */
const opened = new Promise((done, failed) => {
  const asked = indexedDB.open('holdfast-check-in', 1);
  asked.onupgradeneeded = () => {
    asked.result.createObjectStore('keys');
    asked.result.createObjectStore('queue');
    asked.result.createObjectStore('draft');
  };
  asked.onsuccess = () => done(asked.result);
  asked.onerror = () => failed(asked.error);
});
const within = async (store, mode, work) => {
  const database = await opened;
  return new Promise((done, failed) => {
    const transaction = database.transaction(store, mode, { durability: 'strict' });
    const asked = work(transaction.objectStore(store));
    transaction.oncomplete = () => done(asked && asked.result);
    transaction.onerror = transaction.onabort = () => failed(transaction.error);
  });
};
const key = async () => {
  const held = await within('keys', 'readonly', (store) => store.get('key'));
  if (held) return held;
  const made = await crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, ['encrypt', 'decrypt']);
  await within('keys', 'readwrite', (store) => store.add(made, 'key')).catch(() => {}); // another tab was first
  return within('keys', 'readonly', (store) => store.get('key'));
};
const sealed = async (value) => {
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const plain = new TextEncoder().encode(JSON.stringify(value));
  return { iv, data: await crypto.subtle.encrypt({ name: 'AES-GCM', iv }, await key(), plain) };
};
const read = async (held) => {
  const plain = await crypto.subtle.decrypt({ name: 'AES-GCM', iv: held.iv }, await key(), held.data);
  return JSON.parse(new TextDecoder().decode(plain));
};
const put = async (store, name, value) => {
  const kept = await sealed(value);
  await within(store, 'readwrite', (found) => found.put(kept, name));
};
const waiting = () => within('queue', 'readonly', (store) => store.getAllKeys());

/* Sending, by one tab at a time. What belongs to another patient, who used this browser before, waits for them. */
const me = app.dataset.patient;
const help = document.querySelector('.help');
const mine = async () => {
  const found = [];
  for (const name of await waiting()) {
    const held = await within('queue', 'readonly', (store) => store.get(name));
    const one = held && await read(held).catch(() => null);
    if (one && one.patient === me) found.push({ name, body: one.body });
  }
  return found;
};
const sendOne = async ({ name, body }) => {
  const answer = await fetch(`/check-in/patients/${me}/check-ins`, {
    method: 'POST', headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ ...body, sent_at: new Date().toISOString() }),
  });
  const { notice, recorded_at: recordedAt } = await answer.json().catch(() => ({}));
  if (notice) help.open = true; // whom to call, whether the answers were taken or not
  if (answer.ok) {
    body.responses.forEach(({ instrument }) => { answered[instrument] = recordedAt; });
    sessionStorage.setItem(me, JSON.stringify(answered));
    await within('queue', 'readwrite', (store) => store.delete(name));
    return 'received';
  }
  if (answer.status === 401) return 'apart';
  return answer.status >= 500 || answer.status === 429 ? 'saved' : 'refused';
};
const send = async () => {
  const states = [];
  for (const one of await mine()) {
    states.push(await sendOne(one).catch(() => 'saved'));
    if (['saved', 'apart'].includes(states.at(-1))) break; // the network, or the clinic, is not there
  }
  const worst = ['apart', 'refused', 'saved', 'received'].find((state) => states.includes(state));
  if (states.includes('received')) await renewed();
  if (worst) say(worst === 'received' ? `${told.received} ${form && !form.hidden ? '' : told.done}` : told[worst]);
  return worst;
};
const renewed = async () => {
  navigator.serviceWorker?.controller?.postMessage('renew');
  await withoutWhatWaits();
};
const sending = async () => {
  const result = navigator.locks ? await navigator.locks.request('holdfast-check-in', send) : await send();
  if (result === 'saved') setTimeout(sending, RETRY);
  return result;
};
addEventListener('online', sending);
document.addEventListener('visibilitychange', () => { if (!document.hidden) sending(); });

/* The form, one question at a time. */
let questions = form ? [...form.querySelectorAll('[data-question]')] : [];
/* By instrument, when the clinic recorded it, by its own clock: a page that is older does not know of it. */
const answered = JSON.parse(sessionStorage.getItem(me) || '{}');
/* What was answered here already, received or not yet sent, is not asked once more by a page that does not know. */
const withoutWhatWaits = async () => {
  if (!form) return;
  const made = form.elements.namedItem('begun_at').value;
  const gone = Object.keys(answered).filter((code) => Date.parse(answered[code]) > Date.parse(made));
  for (const { body } of await mine()) gone.push(...body.responses.map(({ instrument }) => instrument));
  for (const code of gone) {
    form.querySelectorAll(`[data-code="${code}"], input[name=instrument][value="${code}"]`).forEach((part) => part.remove());
  }
  form.querySelectorAll('.scales').forEach((view) => { if (!view.querySelector('[data-slider]')) view.remove(); });
  questions = [...form.querySelectorAll('[data-question]')];
  form.hidden = !questions.length;
};
const back = form && form.querySelector('[data-back]');
const next = form && form.querySelector('[data-next]');
const sender = form && form.querySelector('[data-send]');
const place = form && form.querySelector('[data-place]');
let at = 0;
let begun = new Date().toISOString();

const answers = () => Object.fromEntries([...new FormData(form)].filter(([name, value]) => value !== '' && name.includes('.')));
const show = (index, focus) => {
  at = Math.max(0, Math.min(index, questions.length - 1));
  questions.forEach((question, number) => { question.hidden = number !== at; });
  back.hidden = at === 0;
  next.hidden = at === questions.length - 1;
  sender.hidden = !next.hidden;
  const tap = questions[at].querySelector('input[type=radio]') ? ` ${told.tap}` : '';
  place.textContent = questions.length > 1 ? `${told.place.replace('{n}', at + 1).replace('{all}', questions.length)}.${tap}` : '';
  if (focus) { questions[at].tabIndex = -1; questions[at].focus(); scrollTo(0, 0); }
};
const keep = () => put('draft', 'now', { patient: me, begun, at, answers: answers(), codes: codes() });
const codes = () => new FormData(form).getAll('instrument');
const bodyOf = () => {
  const given = answers();
  const responses = codes().map((instrument) => {
    const items = form.querySelectorAll(`input[type=radio][name^="${instrument}."]`);
    if (!items.length) {
      const value = given[`${instrument}.total`];
      return value === undefined ? null : { instrument, score: Number(value) };
    }
    const names = [...new Set([...items].map((item) => item.name))];
    const found = names.map((name) => (given[name] === undefined ? null : Number(given[name])));
    return found.every((value) => value === null) ? null : { instrument, answers: found };
  });
  return responses.filter(Boolean);
};
const slider = (box) => {
  const select = box.querySelector('select');
  const values = [...select.options].map((option) => option.value).filter(Boolean).map(Number);
  const input = document.createElement('input');
  const output = document.createElement('output');
  Object.assign(input, { type: 'range', min: Math.min(...values), max: Math.max(...values), step: 1 });
  input.value = (Math.min(...values) + Math.max(...values)) / 2;
  input.id = `${select.id}-slider`;
  box.querySelector('label').htmlFor = input.id;
  output.htmlFor = input.id;
  const tell = () => {
    output.textContent = select.value === '' ? '–' : select.value;
    input.classList.toggle('untouched', select.value === '');
    input.setAttribute('aria-valuetext', select.value === '' ? told.untouched : select.value);
  };
  // No value until it is touched: a slider that nobody moved says nothing.
  const touch = () => { select.value = input.value; tell(); keep(); };
  for (const event of ['input', 'pointerup', 'change']) input.addEventListener(event, touch);
  input.addEventListener('keydown', (event) => { if (event.key === 'Enter' || event.key === ' ') touch(); });
  select.hidden = true;
  select.after(output, input);
  tell();
  return () => { if (select.value !== '') input.value = select.value; tell(); };
};
const restore = async (refresh) => {
  const held = await within('draft', 'readonly', (store) => store.get('now'));
  if (!held) return;
  const draft = await read(held).catch(() => null);
  const fits = draft && draft.patient === me && Date.now() - Date.parse(draft.begun) < DAY && draft.codes.join() === codes().join();
  if (!fits) { await within('draft', 'readwrite', (store) => store.delete('now')); return; }
  begun = draft.begun;
  for (const [name, value] of Object.entries(draft.answers)) {
    const field = form.elements.namedItem(name);
    if (field) field.value = value;
  }
  refresh.forEach((work) => work());
  show(draft.at);
};
if (form) {
  const refresh = [...form.querySelectorAll('[data-slider]')].map(slider);
  show(0);
  back.addEventListener('click', () => { show(at - 1, true); keep(); });
  next.addEventListener('click', () => { show(at + 1, true); keep(); });
  form.addEventListener('change', keep);
  form.addEventListener('click', (event) => {
    // A tap goes on; arrow keys, which choose on their way, do not. An alarming answer stays, with whom to call.
    const tapped = event.target.matches('input[type=radio]') && event.detail > 0;
    const question = questions[at];
    const harm = question.dataset.harm !== undefined && Number(event.target.value) > 0;
    if (tapped && !harm && at < questions.length - 1) setTimeout(() => { show(at + 1, true); keep(); }, 200);
  });
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const responses = bodyOf();
    if (!responses.length) { say(told.none); return; }
    const id = crypto.randomUUID ? crypto.randomUUID() : form.elements.namedItem('id').value;
    const taken = Date.now() - Date.parse(begun) < DAY ? begun : new Date().toISOString();
    await put('queue', id, { patient: me, body: { id, taken_at: taken, responses } });
    await within('draft', 'readwrite', (store) => store.delete('now'));
    if (form.querySelector('[data-harm] input:checked:not([value="0"]):not([value=""])')) help.open = true;
    form.hidden = true;
    say(told.saved);
    await sending();
  });
  withoutWhatWaits().then(() => { if (questions.length) { show(0); restore(refresh); } });
}
const leave = document.querySelector('[data-sign-out]');
if (leave) leave.addEventListener('submit', async (event) => {
  event.preventDefault();
  const left = (await mine()).length;
  if (left && !confirm(told.waiting.replace('{n}', left))) return;
  (await opened).close();
  indexedDB.deleteDatabase('holdfast-check-in');
  sessionStorage.clear();
  for (const name of await caches.keys()) await caches.delete(name);
  leave.submit();
});
if ('serviceWorker' in navigator) navigator.serviceWorker.register(app.dataset.worker, { scope: '/check-in' }).catch(() => {});
sending();
