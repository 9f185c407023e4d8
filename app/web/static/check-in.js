/* The check-in on a phone: one question at a time; answers are kept on the phone, encrypted, until the clinic has them.

   The key is made in this browser, cannot be taken out of it, and is deleted when the phone is removed. An answer is
   deleted when it is received. The same id is sent at each try, so nothing is recorded twice. Where a browser can keep
   nothing, the page stays a form that the server takes. */
'use strict';
const app = document.getElementById('app');
const form = document.getElementById('check-in');
const told = document.getElementById('words').dataset;
const state = document.getElementById('state');
const help = document.querySelector('.help');
const me = app.dataset.patient;
const DAY = 24 * 60 * 60 * 1000;
const RETRY = 15 * 1000;

const say = (text) => { state.textContent = text; state.hidden = !text; };

/* What is kept: `queue`, what is to be sent; `draft`, by patient, what is begun and when what was recorded. */
const opened = new Promise((done, failed) => {
  if (!globalThis.crypto?.subtle || !globalThis.indexedDB) { failed(new Error('nothing can be kept')); return; }
  const asked = indexedDB.open('holdfast-check-in', 1);
  asked.onupgradeneeded = () => ['keys', 'queue', 'draft'].forEach((store) => asked.result.createObjectStore(store));
  asked.onsuccess = () => {
    asked.result.onversionchange = () => asked.result.close(); // another tab removes the phone
    done(asked.result);
  };
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
const put = async (store, name, value) => {
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const plain = new TextEncoder().encode(JSON.stringify(value));
  const data = await crypto.subtle.encrypt({ name: 'AES-GCM', iv }, await key(), plain);
  await within(store, 'readwrite', (found) => found.put({ iv, data }, name));
};
const got = async (store, name) => {
  const held = await within(store, 'readonly', (found) => found.get(name));
  if (!held) return null;
  const plain = await crypto.subtle.decrypt({ name: 'AES-GCM', iv: held.iv }, await key(), held.data);
  return JSON.parse(new TextDecoder().decode(plain));
};
const drop = (store, name) => within(store, 'readwrite', (found) => found.delete(name));
const waiting = () => within('queue', 'readonly', (store) => store.getAllKeys());
/* What belongs to another patient, who used this browser before, waits for them. */
const mine = async () => {
  const found = [];
  for (const name of await waiting()) {
    const one = await got('queue', name).catch(() => null);
    if (one && one.patient === me) found.push({ ...one, name });
  }
  return found;
};

/* Sending, by one tab at a time. */
const sendOne = async ({ name, body }) => {
  const answer = await fetch(`/check-in/patients/${me}/check-ins`, {
    method: 'POST', headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ ...body, sent_at: new Date().toISOString() }),
  });
  const said = await answer.json().catch(() => ({}));
  if (said.notice) help.open = true; // whom to call, whether the answers were taken or not
  if (answer.ok && !answer.redirected && said.recorded_at) { // a page of somebody in between is no receipt
    const recorded = await got('draft', `recorded ${me}`).catch(() => null) || {};
    body.responses.forEach(({ instrument }) => { recorded[instrument] = said.recorded_at; });
    await put('draft', `recorded ${me}`, recorded);
    await drop('queue', name);
    return 'received';
  }
  if (answer.status === 401) return 'apart';
  if (answer.ok || answer.status >= 500 || answer.status === 429 || !said.code) return 'saved';
  await put('queue', name, { patient: me, body, refused: said.code }); // it stays, and is not sent again
  return 'refused';
};
const send = async () => {
  const states = [];
  for (const one of await mine()) {
    states.push(one.refused ? 'refused' : await sendOne(one).catch(() => 'saved'));
    if (['saved', 'apart'].includes(states.at(-1))) break; // the network, or the clinic, is not there
  }
  const worst = ['apart', 'saved', 'refused', 'received'].find((one) => states.includes(one));
  if (states.includes('received')) navigator.serviceWorker?.controller?.postMessage('renew');
  await withoutWhatIsKnown();
  if (worst) say(worst === 'received' ? `${told.received} ${form && !form.hidden ? '' : told.done}` : told[worst]);
  return worst;
};
let again = 0;
const sending = async () => {
  clearTimeout(again);
  const result = navigator.locks ? await navigator.locks.request('holdfast-check-in', send) : await send();
  if (result === 'saved') again = setTimeout(sending, RETRY);
  return result;
};

/* The form, one question at a time. */
let questions = form ? [...form.querySelectorAll('[data-question]')] : [];
const part = (name) => form && form.querySelector(`[data-${name}]`);
const [back, next, sender, place] = ['back', 'next', 'send', 'place'].map(part);
let at = 0;
let begun = null;
let id = null;

/* What waits, or was recorded since this page was made (by the clinic's clock), is not asked once more. */
const withoutWhatIsKnown = async () => {
  if (!form) return;
  const made = Date.parse(form.elements.namedItem('begun_at').value);
  const recorded = await got('draft', `recorded ${me}`).catch(() => null) || {};
  const gone = Object.keys(recorded).filter((code) => Date.parse(recorded[code]) > made);
  for (const { body, refused } of await mine()) if (!refused) gone.push(...body.responses.map((one) => one.instrument));
  const before = questions.length;
  for (const code of gone) {
    form.querySelectorAll(`[data-code="${code}"], input[name=instrument][value="${code}"]`).forEach((one) => one.remove());
  }
  form.querySelectorAll('.scales').forEach((view) => { if (!view.querySelector('[data-slider]')) view.remove(); });
  questions = [...form.querySelectorAll('[data-question]')];
  form.hidden = !questions.length;
  if (questions.length && questions.length !== before) show(at);
};
const codes = () => new FormData(form).getAll('instrument');
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
const keep = async () => {
  begun ||= new Date().toISOString(); // the first answer, however long the page was open before
  id ||= crypto.randomUUID();
  await put('draft', me, { begun, id, at, answers: answers() }).catch(() => {});
};
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
  const draft = await got('draft', me).catch(() => null);
  if (!draft) return;
  if (Date.now() - Date.parse(draft.begun) > DAY) { await drop('draft', me); return; }
  ({ begun, id } = draft);
  for (const [name, value] of Object.entries(draft.answers)) {
    const field = form.elements.namedItem(name);
    if (field) field.value = value;
  }
  refresh.forEach((work) => work());
  if (questions.length) show(draft.at);
};
const submitted = async (event) => {
  event.preventDefault();
  const responses = bodyOf();
  if (!responses.length) { say(told.none); return; }
  sender.disabled = true;
  await keep();
  const taken = Date.now() - Date.parse(begun) < DAY ? begun : new Date().toISOString();
  try {
    await put('queue', id, { patient: me, body: { id, taken_at: taken, responses } });
  } catch { // the phone is full: the server takes the form as it is
    form.submit();
    return;
  }
  await drop('draft', me);
  begun = id = null;
  if (form.querySelector('[data-harm] input:checked:not([value="0"]):not([value=""])')) help.open = true;
  form.hidden = true;
  say(told.saved);
  await sending();
  sender.disabled = false;
};
const takeOver = async () => {
  const refresh = [...form.querySelectorAll('[data-slider]')].map(slider);
  show(0);
  back.addEventListener('click', () => { show(at - 1, true); keep(); });
  next.addEventListener('click', () => { show(at + 1, true); keep(); });
  form.addEventListener('change', keep);
  form.addEventListener('click', (event) => {
    // A tap goes on; arrow keys, which choose on their way, do not. An alarming answer stays, with whom to call.
    const tapped = event.target.matches('input[type=radio]') && event.detail > 0;
    const harm = questions[at]?.dataset.harm !== undefined && Number(event.target.value) > 0;
    if (tapped && !harm && at < questions.length - 1) setTimeout(() => { show(at + 1, true); keep(); }, 200);
  });
  form.addEventListener('submit', submitted);
  await withoutWhatIsKnown();
  await restore(refresh);
};
const removed = async (event) => {
  event.preventDefault();
  const left = (await waiting()).length; // other patients' too: all that is kept here goes
  if (left && !confirm(told.waiting.replace('{n}', left))) return;
  const done = await fetch(event.target.action, { method: 'POST', redirect: 'manual' }).catch(() => null);
  if (!done) { say(told.offline); return; } // without the clinic its access would stay
  const worker = await navigator.serviceWorker?.getRegistration('/check-in').catch(() => null);
  const push = window.pushManager || worker?.pushManager;
  await push?.getSubscription().then((one) => one?.unsubscribe()).catch(() => {}); // the clinic has ended its reminders
  (await opened).close();
  await new Promise((over) => {
    const asked = indexedDB.deleteDatabase('holdfast-check-in');
    asked.onsuccess = asked.onerror = asked.onblocked = over;
  });
  for (const name of await caches.keys()) await caches.delete(name);
  location.replace('/check-in/enrol');
};

const linked = () => { // a new link, perhaps for somebody else
  if (location.hash.length > 1) location.replace(`/check-in/enrol${location.hash}`);
  return location.hash.length > 1;
};
addEventListener('hashchange', linked);
if (!linked()) {
  opened.then(async () => {
    if (form) await takeOver();
    document.querySelector('[data-sign-out]')?.addEventListener('submit', removed);
    addEventListener('online', sending);
    document.addEventListener('visibilitychange', () => { if (!document.hidden) sending(); });
    if ('serviceWorker' in navigator) {
      navigator.serviceWorker.register(app.dataset.worker, { scope: '/check-in' }).catch(() => {});
    }
    await sending();
  }).catch(() => {});
}
