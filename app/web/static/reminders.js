/* Reminders on this phone (Web Push). They are turned on by a tap. What the browser has and what the clinic knows are
   brought together when a page is opened: a subscription of somebody before is ended, one that is gone is made anew. */
'use strict';
(() => {
  const PATIENCE = 20 * 1000; // Chromium may never answer
  const box = document.getElementById('reminders');
  const said = document.getElementById('reminders-said');
  const told = document.getElementById('reminder-words')?.dataset;
  const button = box?.querySelector('[data-turn-on]');
  const manager = async () => {
    // Without a service worker, where the browser knows the declarative form.
    if ('pushManager' in window) return window.pushManager;
    const held = await navigator.serviceWorker.register('/check-in/worker.js', { scope: '/check-in' });
    await navigator.serviceWorker.ready;
    return held.pushManager;
  };
  const held = async () => (await manager()).getSubscription();
  const posted = async (address, body) => {
    const headers = { 'Content-Type': 'application/json' };
    const answer = await fetch(address, { method: 'POST', headers, body: JSON.stringify(body), redirect: 'error' });
    if (!answer.ok) throw new Error(answer.status);
    return answer;
  };
  const within = (work) => Promise.race([work, new Promise((_, failed) => { setTimeout(failed, PATIENCE); })]);
  const subscribe = async (address) => {
    const key = (await (await posted('/check-in/reminders/key', {})).json()).public_key;
    const push = await manager();
    await (await push.getSubscription())?.unsubscribe();
    const { endpoint, keys } = (await push.subscribe({ userVisibleOnly: true, applicationServerKey: key })).toJSON();
    await posted(address, { endpoint, public_key: keys.p256dh, secret: keys.auth });
  };
  const hasWorker = 'serviceWorker' in navigator && 'PushManager' in window;
  if (!box || !('Notification' in window) || !('pushManager' in window || hasWorker)) return;
  box.querySelector('[data-cannot]')?.remove();
  const together = async () => {
    const subscription = await held();
    if (box.dataset.state === 'off') { await subscription?.unsubscribe(); return; }
    if (Notification.permission !== 'granted' || (box.dataset.state === 'on' && subscription)) return;
    await subscribe('/check-in/reminders/renewal');
    if (box.dataset.state === 'lost') location.reload();
  };
  within(together()).catch(() => {});
  button?.addEventListener('click', async () => {
    button.disabled = true;
    const permission = await Notification.requestPermission(); // asked in the tap itself, or browsers refuse
    const done = permission === 'granted' && within(subscribe('/check-in/reminders/on'));
    const problem = done ? await done.then(() => null, () => told.failed) : told.blocked;
    button.disabled = false;
    if (!problem) { location.reload(); return; }
    said.textContent = problem;
    said.hidden = false;
  });
  if (button) button.hidden = false;
  const off = document.querySelector('[data-turn-off]');
  off?.addEventListener('submit', async (event) => {
    event.preventDefault(); // once the browser has let go of it, or a change of it would come back
    await within(held().then((one) => one?.unsubscribe())).catch(() => {});
    off.submit();
  });
})();
