//! What is the smaller machine: by price where prices can be compared, else by bandwidth, then memory.
//!
//! Data in: tiers, measured cells. Data out: an order, and a note where prices do not give it. Invariants: pure;
//! prices count only where every machine in question has one in the same currency; what is not known is the
//! largest.

use std::cmp::Ordering;

use super::evidence::Cell;
use crate::types::tier::{Tier, TierPrice};

/// What tiers are ordered by.
#[derive(Clone, Copy)]
pub struct Size {
    price: f64,
    bandwidth: f64,
    memory: f64,
}

/// The price of a tier by its name.
pub fn price<'a>(place: &str, tiers: &'a [Tier]) -> Option<&'a TierPrice> {
    let tier = tiers.iter().find(|tier| tier.name == place)?;
    tier.price.as_ref()
}

/// All have a price, and in one currency: only then is there an order by price.
pub fn comparable<'a>(prices: impl Iterator<Item = Option<&'a TierPrice>>) -> bool {
    let mut currencies = prices.map(|price| Some(&price?.currency));
    let Some(Some(first)) = currencies.next() else {
        return false;
    };
    currencies.all(|other| other == Some(first))
}

/// Says that some have a price and that they are not ordered by it.
pub fn price_note(what: &str, prices: &[Option<&TierPrice>]) -> Option<String> {
    let told = prices.iter().flatten().count();
    if told == 0 || comparable(prices.iter().copied()) {
        return None;
    }
    Some(format!(
        "{told} of {} {what} have a price, or prices are in several currencies: they are ordered by memory \
         bandwidth, and by price only where all have one of one currency (`--tier` names those to compare)",
        prices.len()
    ))
}

/// Of a measured cell's machine.
pub fn size(cell: &Cell, tiers: &[Tier]) -> Size {
    Size {
        price: price(cell.place(), tiers).map_or(f64::INFINITY, |price| price.per_hour),
        bandwidth: cell.work.bandwidth.unwrap_or(f64::INFINITY),
        memory: cell.usable_bytes.unwrap_or(f64::INFINITY),
    }
}

fn size_of_tier(tier: &Tier) -> Size {
    let bandwidth = tier.bandwidth_bytes_per_second.as_ref();
    Size {
        price: tier
            .price
            .as_ref()
            .map_or(f64::INFINITY, |price| price.per_hour),
        bandwidth: bandwidth.map_or(f64::INFINITY, |figure| figure.value),
        memory: tier.memory_gib,
    }
}

/// By price first where prices can be compared.
pub fn smaller(a: Size, b: Size, by_price: bool) -> Ordering {
    let prices = if by_price {
        a.price.total_cmp(&b.price)
    } else {
        Ordering::Equal
    };
    prices
        .then(a.bandwidth.total_cmp(&b.bandwidth))
        .then(a.memory.total_cmp(&b.memory))
}

/// Tiers in the order of size.
pub fn by_size<'a>(tiers: impl Iterator<Item = &'a Tier>) -> Vec<&'a Tier> {
    let mut sorted: Vec<&Tier> = tiers.collect();
    let by_price = comparable(sorted.iter().map(|tier| tier.price.as_ref()));
    sorted.sort_by(|a, b| smaller(size_of_tier(a), size_of_tier(b), by_price));
    sorted
}
