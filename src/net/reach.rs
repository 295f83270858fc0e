//! Which addresses may be dialled.
//!
//! Promises: [`Reach::PublicOnly`] lets through only what is routed in the public internet, also where an IPv4 address is
//! hidden in an IPv6 one, so that nobody can point the bridge at its own machine, its network or a cloud's metadata.
//! Sources: the IANA registries of special-purpose IPv4 and IPv6 addresses (RFC 6890), and OWASP's cheat sheet on server-side
//! request forgery. Every block of the registries is refused, also those few that are reachable, because no receiver lives there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which addresses a dialler may connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// All of them: for URLs that the operator wrote.
    Anywhere,
    /// The public internet: for URLs that came from somebody else.
    PublicOnly,
}

/// IPv4 blocks that are not the public internet (IANA special-purpose registry), with the one public address that is a
/// cloud's metadata service.
const NOT_PUBLIC_V4: [([u8; 4], u8); 19] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([168, 63, 129, 16], 32),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 31, 196, 0], 24),
    ([192, 52, 193, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([192, 175, 48, 0], 24),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
];

impl Reach {
    /// Whether this address may be dialled.
    #[must_use]
    pub fn allows(self, address: IpAddr) -> bool {
        match (self, address) {
            (Self::Anywhere, _) => true,
            (Self::PublicOnly, IpAddr::V4(address)) => is_public_v4(address),
            (Self::PublicOnly, IpAddr::V6(address)) => is_public_v6(address),
        }
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let within =
        |(base, prefix): ([u8; 4], u8)| (address.to_bits() ^ Ipv4Addr::from(base).to_bits()).leading_zeros() >= u32::from(prefix);
    !NOT_PUBLIC_V4.into_iter().any(within)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let v4 = |high: u16, low: u16| is_public_v4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match address.segments() {
        // IPv4 in disguise: mapped, translated, 6to4.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => v4(high, low),
        // An interface that tunnels to an IPv4 address within a site (ISATAP, RFC 5214); Teredo and its neighbours, documentation, AS112.
        [_, _, _, _, 0 | 0x200, 0x5efe, _, _]
        | [0x2001, 0..0x200 | 0xdb8, ..]
        | [0x3fff, 0..0x1000, ..]
        | [0x2620, 0x4f, 0x8000, ..] => false,
        // Only this block is global unicast.
        [0x2000..=0x3fff, ..] => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_allowed_to_others() {
        let private = [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.9.9.9",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.31.196.1",
            "192.52.193.1",
            "192.88.99.1",
            "192.168.1.1",
            "192.175.48.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:10.1.2.3",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "::ffff:0:10.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b::a00:1",
            "2001::1",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "2001:1::1",
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "2606:4700::200:5efe:a00:1",
            "2620:4f:8000::1",
            "2001:db8::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "ff0e::1",
            "100::1",
            "100:0:0:1::1",
            "3fff::1",
            "4000::1",
            "5f00::1",
        ];
        for text in private {
            let address: IpAddr = text.parse().unwrap();
            assert!(!Reach::PublicOnly.allows(address), "{text}");
            assert!(Reach::Anywhere.allows(address), "{text}");
        }
    }

    #[test]
    fn public_addresses_are_allowed_however_they_are_written() {
        let public = [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.254",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2002:808:808::1",
            "2606:4700:4700::1111",
            "2001:4860:4860::8888",
            "2a00:1450::1",
        ];
        for text in public {
            assert!(Reach::PublicOnly.allows(text.parse().unwrap()), "{text}");
        }
    }
}
