//! Crates of numbers, times, digests and identities, and of the errors that they return.

use std::collections::BTreeSet;

pub(super) fn anyhow() -> (Vec<String>, usize) {
    use anyhow::{Context, bail, ensure};

    fn read(text: &str) -> anyhow::Result<u32> {
        ensure!(text.len() < 6, "{text:?} is too long");
        let number: u32 = text.parse().with_context(|| format!("reading {text:?}"))?;
        if number == 0 {
            bail!("zero is not allowed");
        }
        Ok(number)
    }
    let all = ["1", "0", "x", "123456", "77", "-1"].map(|text| read(text).context("in the list"));
    let errors: Vec<anyhow::Error> = all.into_iter().filter_map(Result::err).collect();
    let parses = errors.iter().filter(|error| error.is::<std::num::ParseIntError>()).count();
    (errors.iter().map(|error| format!("{error:#}")).collect(), parses)
}

pub(super) fn blake3() -> (String, Vec<u8>, bool) {
    let text: Vec<u8> = (0..5_000_u32).map(|number| (number * number % 251) as u8).collect();
    let mut hasher = blake3::Hasher::new();
    for chunk in text.chunks(700) {
        hasher.update(chunk);
    }
    let digest = hasher.finalize();
    let mut more = vec![0; 150];
    hasher.finalize_xof().fill(&mut more);
    let key = blake3::derive_key("precision", &text);
    (digest.to_hex().to_string(), more[140..].to_vec(), blake3::keyed_hash(&key, &text) != digest)
}

pub(super) fn num_bigint() -> (String, String, usize, Option<String>) {
    use num_bigint::{BigInt, BigUint};

    let factorial: BigUint = (1_u32..60).map(BigUint::from).product();
    let prime: BigUint = (BigUint::from(1_u32) << 127) - 1_u32;
    let power = BigUint::from(3_u32).modpow(&factorial, &prime);
    let negative = BigInt::from(-7) * BigInt::from(factorial.clone()) / BigInt::from(1_000_003);
    let read: BigInt = negative.to_str_radix(36).parse().unwrap_or_default();
    let digits = factorial.to_radix_le(7);
    let error = "12x".parse::<BigUint>().err().map(|error| error.to_string());
    (format!("{power:x} {read}"), factorial.sqrt().to_string(), digits.len(), error)
}

pub(super) fn rust_decimal() -> (Vec<String>, Option<String>) {
    use rust_decimal::Decimal;

    let prices = ["19.99", "0.05", "1200", "-3.333", "7.125"];
    let mut sum = Decimal::ZERO;
    let mut lines = Vec::new();
    for (count, price) in (1_u32..).zip(prices) {
        let price: Decimal = price.parse().expect("the text is right");
        sum += price * Decimal::from(count);
        lines.push(format!("{count} at {price} is {}", sum.round_dp(2).normalize()));
    }
    lines.push(format!("{:e}", sum / Decimal::from(7)));
    (lines, "1.2.3".parse::<Decimal>().err().map(|error| error.to_string()))
}

pub(super) fn sha2_and_hex() -> (Vec<String>, Option<String>) {
    use sha2::Digest;

    let mut digests: Vec<String> = Vec::new();
    for number in 0..6_usize {
        let mut hasher = sha2::Sha256::new();
        digests.iter().for_each(|digest| hasher.update(digest.as_bytes()));
        hasher.update(vec![number as u8; number * 30]);
        digests.push(hex::encode(hasher.finalize()));
    }
    let bytes: Vec<Vec<u8>> = digests.iter().map(|d| hex::decode(d).expect("hex")).collect();
    digests.push(hex::encode_upper(sha2::Sha512::digest(bytes.concat())));
    (digests, hex::decode("0g").err().map(|error| error.to_string()))
}

pub(super) fn time() -> (Vec<String>, Option<String>) {
    use time::format_description::{self, well_known::Rfc3339};
    use time::{Duration, OffsetDateTime};

    let format = "[weekday], [day padding:none] [month repr:long] [year], [hour]:[minute] [offset_hour sign:mandatory]";
    let format = format_description::parse_borrowed::<2>(format).expect("a format");
    let mut shown = Vec::new();
    for text in ["2024-02-29T23:59:59+01:00", "1999-12-31T00:00:00Z", "2038-01-19T03:14:07-08:30"] {
        let moment = OffsetDateTime::parse(text, &Rfc3339).expect("the text is right");
        let later = moment + Duration::hours(30);
        shown.push(later.format(&format).expect("all parts are there"));
        shown.push(later.to_string());
    }
    let error = OffsetDateTime::parse("2023-02-29", &Rfc3339).err();
    (shown, error.map(|error| error.to_string()))
}

pub(super) fn uuid() -> (Vec<String>, usize, Option<String>) {
    let names = ["alpha", "beta", "gamma"];
    let named = names.map(|name| uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_DNS, name.as_bytes()));
    let texts = named.map(|id| id.urn().to_string());
    let read = texts.iter().map(|text| text.parse::<uuid::Uuid>().expect("it was written so"));
    let random: BTreeSet<uuid::Uuid> = (0..20).map(|_| uuid::Uuid::new_v4()).chain(read).collect();
    let error = uuid::Uuid::parse_str("67e55044-10b1-426f-9247-bb680e5fe0c").err();
    (texts.to_vec(), random.len(), error.map(|error| error.to_string()))
}
