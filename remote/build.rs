//! Packs the page.

#[path = "../service/src/page/pack.rs"]
mod pack;

fn main() -> std::io::Result<()> {
    pack::page("src/web/page")
}
