// The claim: code, name and password make the first administrator, whose session begins at once.

import { onSubmit, post } from './forms.js';

onSubmit(document.querySelector('#claim'), async ({ again, ...claim }) => {
  if (again !== claim.password) throw new Error('The two passwords differ.');
  await post('/claim', claim);
  location.assign('/setup');
});
