//! The host that receives recordings. So far it can [`check`] what has arrived; an ordinary OpenSSH server receives.

pub mod check;
