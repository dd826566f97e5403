//! An update: what travels ([`bundle`]), and what the boot loader reads ([`slots`]). docs/design/update.md has the procedure.

pub mod bundle;
pub mod slots;

pub use bundle::{Header, Version};
pub use slots::{Slot, Slots, State};
