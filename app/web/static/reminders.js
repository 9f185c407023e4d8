/* Reminders on this phone (Web Push). They are turned on by a tap; where the push service has ended them and they are
   still allowed, they are renewed when the page is opened. */
'use strict';
(() => {
  const PATIENCE = 20 * 1000;
  const box = document.getElementById('reminders');
  const said = document.getElementById('reminders-said');
  const told = document.getElementById('reminder-words')?.dataset;
  const manager = async () => {
    // Without a service worker, where the browser knows the declarative form.
    if ('pushManager' in window) return window.pushManager;
    const held = await navigator.serviceWorker.register('/check-in/worker.js', { scope: '/check-in' });
    await navigator.serviceWorker.ready;
    return held.pushManager;
  };
  const posted = async (address, body) => {
    const headers = { 'Content-Type': 'application/json' };
    const answer = await fetch(address, { method: 'POST', headers, body: JSON.stringify(body), redirect: 'error' });
    if (!answer.ok) throw new Error(answer.status);
    return answer;
  };
  const turnOn = async () => {
    const key = (await (await posted('/check-in/reminders/key', {})).json()).public_key;
    const push = await manager();
    await (await push.getSubscription())?.unsubscribe(); // one of a patient before, or one that is gone
    const asked = push.subscribe({ userVisibleOnly: true, applicationServerKey: key });
    const tooLong = new Promise((_, failed) => { setTimeout(failed, PATIENCE); }); // Chromium may never answer
    const { endpoint, keys } = (await Promise.race([asked, tooLong])).toJSON();
    await posted('/check-in/reminders/on', { endpoint, public_key: keys.p256dh, secret: keys.auth });
  };
  const turnOff = async () => (await (await manager()).getSubscription())?.unsubscribe();
  const can = 'Notification' in window && ('pushManager' in window || ('serviceWorker' in navigator && 'PushManager' in window));
  if (!box || !can) return;
  box.querySelector('[data-cannot]')?.remove();
  if (box.dataset.state === 'lost' && Notification.permission === 'granted') {
    turnOn().then(() => said && location.reload()).catch(() => {});
  }
  const button = box.querySelector('[data-turn-on]');
  if (button) {
    button.hidden = false;
    button.addEventListener('click', async () => {
      button.disabled = true;
      const permission = await Notification.requestPermission(); // asked in the tap itself, or browsers refuse
      const problem = permission === 'granted' ? await turnOn().then(() => null, () => told.failed) : told.blocked;
      button.disabled = false;
      if (!problem) { location.reload(); return; }
      said.textContent = problem;
      said.hidden = false;
    });
  }
  document.querySelector('[data-turn-off]')?.addEventListener('submit', () => { turnOff().catch(() => {}); });
})();
