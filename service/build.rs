//! Packs the page.

#[path = "src/page/pack.rs"]
mod pack;

fn main() -> std::io::Result<()> {
    pack::page("src/page")
}
