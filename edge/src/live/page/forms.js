// Forms that speak JSON with the edge, and say in words what it refuses.

/** Milliseconds that an answer may take: a remote host is asked with ten seconds for each step. */
const DEADLINE = 90_000;

/** POSTs `value`; the JSON of the answer. Rejects with what the edge said. */
export async function post(path, value = {}) {
  const options = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(value), signal: AbortSignal.timeout(DEADLINE) };
  const response = await fetch(path, options).catch(() => { throw new Error('The device does not answer.'); });
  if (response.ok) return response.json();
  if (response.status === 401 && path !== '/login') location.assign('/login');
  throw new Error((await response.text()).trim() || `The device answers ${response.status}.`);
}

/** What stands in the fields of a form. */
export const values = (form) => Object.fromEntries(new FormData(form));

/** Does `act` with the values of `form` when it is sent, and shows what is wrong, or `done` if nothing is. */
export function onSubmit(form, act, done = '') {
  const problem = form.querySelector(':scope > .problem');
  const outcome = form.querySelector(':scope > .buttons .outcome');
  const button = form.querySelector('button.primary');
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    problem.hidden = true;
    button.disabled = true;
    if (outcome) outcome.textContent = '';
    try {
      await act(values(form));
      if (outcome) outcome.textContent = done;
    } catch (error) {
      problem.textContent = error.message;
      problem.hidden = false;
    }
    button.disabled = false;
  });
}

/** Does `act` when `button` is pressed; what it gives, or what is wrong, stands beside it. */
export function onPress(button, doing, act) {
  const outcome = button.parentElement.querySelector('.outcome');
  const say = (text, kind) => Object.assign(outcome, { textContent: text, className: `outcome ${kind}` });
  button.addEventListener('click', async () => {
    button.disabled = true;
    say(doing, '');
    await act().then((text) => say(text, 'good'), (error) => say(error.message, 'bad'));
    button.disabled = false;
  });
}
