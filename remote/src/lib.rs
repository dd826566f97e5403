//! The host that receives recordings: it can [`check`] what has arrived and [`chop`] it into HLS; an ordinary OpenSSH server
//! receives.

pub mod check;
pub mod chop;
