//! What a Rust file names: every path in it, with the imports resolved, and not what is there for tests alone.

use std::collections::BTreeMap;

use proc_macro2::Span;
use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, Token, UseTree};

use crate::Source;

/// A name in the code: `std::fs::remove_file`.
#[derive(Debug, PartialEq)]
pub struct Name {
    /// In full, as far as the imports of the same file tell.
    pub path: String,
    /// Where it stands.
    pub line: usize,
}

/// Every name in `source` that is not in code for tests.
pub fn names(source: &Source) -> Vec<Name> {
    let stem = source.path.trim_end_matches(".rs");
    if stem.ends_with("/tests") || stem.ends_with("_tests") || stem.contains("/tests/") {
        return Vec::new();
    }
    let file = syn::parse_file(&source.text).unwrap_or_else(|error| panic!("{}: {error}", source.path));
    let mut names = Names { imports: BTreeMap::new(), found: Vec::new() };
    names.visit_file(&file);
    let Names { imports, found } = names;
    let resolve = |name: Name| match name.path.split_once("::") {
        Some((first, rest)) => match imports.get(first) {
            Some(import) => Name { path: format!("{import}::{rest}"), ..name },
            None => name,
        },
        None => name,
    };
    found.into_iter().map(resolve).collect()
}

struct Names {
    /// What each imported name stands for.
    imports: BTreeMap<String, String>,
    found: Vec<Name>,
}

impl Names {
    fn add(&mut self, path: String, span: Span) {
        self.found.push(Name { path, line: span.start().line });
    }

    fn import(&mut self, prefix: &str, tree: &UseTree) {
        let join = |name: &str| if prefix.is_empty() { name.to_owned() } else { format!("{prefix}::{name}") };
        match tree {
            UseTree::Path(path) => self.import(&join(&path.ident.to_string()), &path.tree),
            UseTree::Name(name) if name.ident == "self" => {
                self.imported(prefix.to_owned(), last(prefix), name.ident.span())
            }
            UseTree::Name(name) => {
                self.imported(join(&name.ident.to_string()), &name.ident.to_string(), name.ident.span())
            }
            UseTree::Rename(rename) => {
                self.imported(
                    join(&rename.ident.to_string()),
                    &rename.rename.to_string(),
                    rename.ident.span(),
                );
            }
            UseTree::Glob(glob) => self.add(join("*"), glob.star_token.spans[0]),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.import(prefix, tree)),
        }
    }

    fn imported(&mut self, path: String, name: &str, span: Span) {
        if path != name {
            self.imports.insert(name.to_owned(), path.clone());
        }
        self.add(path, span);
    }
}

fn last(path: &str) -> &str {
    path.rsplit("::").next().unwrap_or(path)
}

/// `#[cfg(test)]` or `#[test]`.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    let cfg_test = |attribute: &Attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    };
    attributes.iter().any(|attribute| attribute.path().is_ident("test") || cfg_test(attribute))
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_for_tests(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        if !is_for_tests(&function.attrs) {
            visit::visit_item_fn(self, function);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_for_tests(&item.attrs) {
            self.import("", &item.tree);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        // One word alone is a local name, or an import that was counted already.
        if let (Some(first), true) = (path.segments.first(), segments.len() > 1) {
            self.add(segments.join("::"), first.ident.span());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        // What most macros take: expressions between commas. Others name nothing that a rule is about.
        if let Ok(arguments) = call.parse_body_with(Punctuated::<Expr, Token![,]>::parse_terminated) {
            for argument in arguments {
                let mut inner = Self { imports: BTreeMap::new(), found: Vec::new() };
                inner.visit_expr(&argument);
                self.found.append(&mut inner.found);
            }
        }
        visit::visit_macro(self, call);
    }
}

#[test]
fn names_are_resolved_through_imports_and_tests_are_left_out() {
    let text = r#"
use std::{fs::{self, File as F}, time};
fn work() { fs::remove_file("a"); let _: F; assert!(time::Instant::now() > x, "{}", crate::store::free()); }
#[cfg(test)] mod tests { use std::net; }
#[test] fn test() { std::thread::spawn(|| ()); }
"#;
    let found = names(&Source::new("edge/src/a.rs", text));
    let paths: Vec<&str> =
        found.iter().map(|name| name.path.as_str()).filter(|path| path.contains("::")).collect();
    assert_eq!(
        paths,
        [
            "std::fs",
            "std::fs::File",
            "std::time",
            "std::fs::remove_file",
            "std::time::Instant::now",
            "crate::store::free"
        ]
    );
    assert_eq!(found.last().map(|name| name.line), Some(3));
}
