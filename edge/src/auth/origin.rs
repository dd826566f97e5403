//! Whether a request was meant for this device, and comes from its own page (RFC 9110 7.2, RFC 6454).
//!
//! A page of a stranger can have its own name point here, and then counts as "the same origin" for a browser (DNS rebinding). The
//! `Host` is that name then, so a request with a name that cannot be ours is refused.

use std::net::{IpAddr, Ipv6Addr};

/// Whether `host`, as `Host` has it, can be this device: an address, a name without a dot, one of mDNS (RFC 6762), or one of `names`.
pub fn is_ours(host: &str, names: &[String]) -> bool {
    let Some(name) = name_of(host) else { return false };
    if let Some(address) = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_word = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let mdns =
        name.len() > 6 && name.get(name.len() - 6..).is_some_and(|end| end.eq_ignore_ascii_case(".local"));
    name.parse::<IpAddr>().is_ok()
        || is_word(name)
        || (mdns && name.split('.').all(is_word))
        || names.iter().any(|own| own.eq_ignore_ascii_case(name))
}

/// Whether `origin` is that of the page at `host`.
pub fn is_same(origin: &str, host: &str, secure: bool) -> bool {
    let scheme = if secure { "https://" } else { "http://" };
    origin.strip_prefix(scheme).is_some_and(|rest| rest.eq_ignore_ascii_case(host))
}

/// `host` without its port.
pub fn name_of(host: &str) -> Option<&str> {
    let (name, port) = match host.rfind(']') {
        Some(end) => host.split_at(end + 1),
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let good = port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    good.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_local_names_are_ours_and_the_internets_are_not() {
        let names = ["cam.example.org".to_owned()];
        for host in [
            "192.168.1.7",
            "192.168.1.7:8080",
            "[fe80::1]",
            "[::1]:443",
            "localhost:8080",
            "porthole",
            "Porthole.local",
            "porthole.local.:80",
            "a.b.local",
            "cam.example.org",
            "CAM.example.org:8443",
        ] {
            assert!(is_ours(host, &names), "{host}");
        }
        for host in [
            "",
            ".local",
            "evil.com",
            "evil.com:8080",
            "192.168.1.7.evil.com",
            "local.evil.com",
            "porthole.local.evil.com",
            "[evil.com]",
            "[::1",
            "a:b",
            "porthole:99999",
            "porthole:",
            "a/b",
            "a b",
            "..local",
            "\u{e9}.local",
            "x.cam.example.org",
        ] {
            assert!(!is_ours(host, &names), "{host}");
        }
    }

    #[test]
    fn an_origin_has_the_same_scheme_name_and_port() {
        assert!(is_same("https://porthole.local", "porthole.local", true));
        assert!(is_same("http://[::1]:80", "[::1]:80", false));
        for (origin, secure) in [
            ("https://porthole.local", false),
            ("http://porthole.local", true),
            ("https://porthole.local:8443", true),
            ("https://porthole.local.evil.com", true),
            ("null", true),
            ("", true),
        ] {
            assert!(!is_same(origin, "porthole.local", secure), "{origin}");
        }
    }
}
