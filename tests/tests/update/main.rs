//! Updates, with the real program: the card is a file, systemd is a thread that starts `porthole-edge card` for each connection, and the boot
//! loader is the same logic that `board/boot.cmd` has; `loader` holds the two against each other.

mod board;
mod hostile;
mod loader;
mod page;
mod power;
mod proof;
mod sudden;
