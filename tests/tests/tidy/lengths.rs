//! How long things may be, and how they begin.

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Block, Signature};

use crate::{Source, assert_tidy};

const FILE: usize = 800;
const FUNCTION: usize = 70;

fn long_file(source: &Source) -> Vec<String> {
    // Nobody reads these from start to end.
    let generated =
        [".lock", "-lock.json", "-crates.inc", "LICENSE-APACHE"].iter().any(|end| source.ends_with(end));
    let lines = source.text.lines().count();
    if generated || lines <= FILE {
        return Vec::new();
    }
    vec![format!("{}: {lines} lines, and {FILE} are enough", source.path)]
}

fn long_functions(source: &Source) -> Vec<String> {
    if !source.ends_with(".rs") {
        return Vec::new();
    }
    let file = syn::parse_file(&source.text).unwrap_or_else(|error| panic!("{}: {error}", source.path));
    let mut long = LongFunctions { path: &source.path, findings: Vec::new() };
    long.visit_file(&file);
    long.findings
}

struct LongFunctions<'a> {
    path: &'a str,
    findings: Vec<String>,
}

impl LongFunctions<'_> {
    fn measure(&mut self, signature: &Signature, block: &Block) {
        let line = |span: Span| span.start().line;
        let first = line(signature.span());
        let lines = line(block.brace_token.span.close()) - first + 1;
        if lines > FUNCTION {
            let name = &signature.ident;
            self.findings
                .push(format!("{}:{first}: {name} has {lines} lines, and {FUNCTION} are enough", self.path));
        }
    }
}

impl<'ast> Visit<'ast> for LongFunctions<'_> {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.measure(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.measure(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        function.default.iter().for_each(|block| self.measure(&function.sig, block));
        visit::visit_trait_item_fn(self, function);
    }
}

fn no_opening(source: &Source) -> Vec<String> {
    let opens = source.text.starts_with("//!");
    if !source.ends_with(".rs") || opens {
        Vec::new()
    } else {
        vec![format!("{}: does not say what it is", source.path)]
    }
}

#[test]
fn no_file_is_too_long() {
    assert_tidy(long_file);
}

#[test]
fn no_function_is_too_long() {
    assert_tidy(long_functions);
}

#[test]
fn every_module_says_what_it_is() {
    assert_tidy(no_opening);
}

#[test]
fn length_and_opening_are_found() {
    let long = Source::new("a.md", &"line\n".repeat(FILE + 1));
    assert_eq!(long_file(&long), ["a.md: 801 lines, and 800 are enough"]);
    assert_eq!(long_file(&Source::new("a.md", &"line\n".repeat(FILE))), [""; 0]);

    let body = |lines: usize| {
        format!("impl A {{\n    /// Words.\n    fn f() {{\n{}    }}\n}}", "        g();\n".repeat(lines))
    };
    assert_eq!(
        long_functions(&Source::new("a.rs", &body(69))),
        ["a.rs:3: f has 71 lines, and 70 are enough"]
    );
    assert_eq!(long_functions(&Source::new("a.rs", &body(68))), [""; 0]);

    assert_eq!(no_opening(&Source::new("a.rs", "use std::fs;")), ["a.rs: does not say what it is"]);
    assert_eq!(no_opening(&Source::new("a.rs", "//! Words.\nuse std::fs;")), [""; 0]);
}
