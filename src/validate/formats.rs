//! Dates and times as RFC 3339 has them.
//!
//! Data in: strings. Data out: whether they are a date, a time, a date with a time. Invariants: a
//! leap second is one in UTC; nothing but ASCII digits counts as a digit. The validator's own
//! checks take some texts with other characters where digits belong (`.900-02-28`).

/// `YYYY-MM-DD`.
pub(super) fn is_date(text: &str) -> bool {
    let Some([year, month, day]) = numbers(text, b"dddd-dd-dd", [(0, 4), (5, 7), (8, 10)]) else {
        return false;
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return false,
    };
    (1..=days).contains(&day)
}

/// `HH:MM:SS`, perhaps a fraction, then `Z` or an offset.
pub(super) fn is_time(text: &str) -> bool {
    let Some((clock, rest)) = text.split_at_checked(8) else {
        return false;
    };
    let Some([hour, minute, second]) = numbers(clock, b"dd:dd:dd", [(0, 2), (3, 5), (6, 8)]) else {
        return false;
    };
    let zone = match rest.strip_prefix('.') {
        Some(fraction) => {
            let zone = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
            if zone.len() == fraction.len() {
                return false;
            }
            zone
        }
        None => rest,
    };
    let Some(offset) = offset_minutes(zone) else {
        return false;
    };
    if hour > 23 || minute > 59 || second > 60 {
        return false;
    }
    let in_utc = (i64::from(hour) * 60 + i64::from(minute) - offset).rem_euclid(24 * 60);
    second < 60 || in_utc == 23 * 60 + 59
}

/// A date, `T`, a time.
pub(super) fn is_date_time(text: &str) -> bool {
    text.split_once(['T', 't'])
        .is_some_and(|(date, time)| is_date(date) && is_time(time))
}

fn offset_minutes(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let sign = match zone.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let [hours, minutes] = numbers(&zone[1..], b"dd:dd", [(0, 2), (3, 5)])?;
    (hours <= 23 && minutes <= 59).then(|| sign * (i64::from(hours) * 60 + i64::from(minutes)))
}

/// The numbers at these places of a text of this form, `d` standing for a digit.
fn numbers<const N: usize>(text: &str, form: &[u8], at: [(usize, usize); N]) -> Option<[u32; N]> {
    let fits = text.len() == form.len()
        && text.bytes().zip(form).all(|(byte, form)| match form {
            b'd' => byte.is_ascii_digit(),
            other => byte == *other,
        });
    if !fits {
        return None;
    }
    Some(at.map(|(from, to)| text[from..to].parse().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times_are_those_of_the_standard() {
        for (text, date, time) in [
            ("2024-02-29", true, false),
            ("1900-02-29", false, false),
            ("2000-02-29", true, false),
            ("0000-02-29", true, false),
            ("2023-04-31", false, false),
            (".900-02-28", false, false),
            ("2024-2-29", false, false),
            ("২024-02-29", false, false),
            ("23:59:60Z", false, true),
            ("15:59:60-08:00", false, true),
            ("15:59:60+08:00", false, false),
            ("12:00:00.5z", false, true),
            ("12:00:00.z", false, false),
            ("12:00:00", false, false),
            ("12:00:00+24:00", false, false),
            ("1/:00:00Z", false, false),
            ("é12:00:00", false, false),
        ] {
            assert_eq!(is_date(text), date, "{text}");
            assert_eq!(is_time(text), time, "{text}");
        }
        assert!(is_date_time("2024-02-29t23:59:60Z"));
        assert!(!is_date_time("2024-02-29 23:59:60Z"));
    }
}
