// A form for a sale: the curve that it would have, drawn by the server while somebody
// types, and only the fields that the way of falling needs.

const form = document.getElementById('draft');
const preview = document.getElementById('preview');

function show() {
  const policy = form.querySelector('[name=policy]')?.value;
  for (const [name, when] of [['drop', 'constant'], ['rate', 'percentage']]) {
    const part = form.querySelector(`[data-entry=${name}]`);
    if (part) part.hidden = policy !== when;
  }
}

let later = 0, asked = 0;
function look() {
  show();
  if (!preview) return;
  clearTimeout(later);
  later = setTimeout(async () => {
    const mine = ++asked;
    const query = new URLSearchParams();
    for (const [name, value] of new FormData(form)) if (name !== 'key' && name !== 'description') query.set(name, value);
    try {
      const answer = await fetch('/sell/preview?' + query);
      if (answer.ok && mine === asked) preview.innerHTML = await answer.text();
      document.dispatchEvent(new Event('arrived'));
    } catch { /* offline: the old one stays */ }
  }, 200);
}

if (form) {
  form.addEventListener('input', look);
  show();
}
