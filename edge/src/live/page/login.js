// The log-in.

import { onSubmit, post } from './forms.js';

document.querySelector('#plain').hidden = location.protocol === 'https:';
onSubmit(document.querySelector('#login'), async (credentials) => {
  await post('/login', credentials);
  location.assign('/');
});
