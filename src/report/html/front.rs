//! Success against time: the plot of what each row gives for what it costs.
//!
//! Data in: summary. Data out: serialisable shapes in pixels. Invariants: a row without a rate or a time
//! has no mark and is counted as left out; shapes tell dialects apart and fillings constraints, so that
//! no meaning is in colour alone; rates begin at 0.

use serde::Serialize;

use super::super::names::Names;
use super::super::pareto;
use super::super::tables::peak_memory_bytes;
use super::super::text::{megabytes, percent_with_interval};
use super::answer::order_by_success;
use super::charts::{LogScale, Tick, pixel, with_limits};
use super::tables::link_of_row;
use crate::metrics::{Row, Summary};
use crate::types::{Constraint, DialectName};

/// Success against time, one mark for each row.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Front {
    points: Vec<Point>,
    x_ticks: Vec<Tick>,
    y_ticks: Vec<Tick>,
    models: Vec<ModelKey>,
    dialects: Vec<DialectKey>,
    constraints: bool,
    memory: bool,
    decided: bool,
    recommendation: Vec<String>,
    left_out: usize,
}

#[derive(Clone, Debug, Serialize)]
struct ModelKey {
    name: String,
    class: usize,
}

#[derive(Clone, Debug, Serialize)]
struct DialectKey {
    name: &'static str,
    shape: String,
}

#[derive(Clone, Debug, Serialize)]
struct Point {
    number: usize,
    title: String,
    link: String,
    class: usize,
    held: bool,
    in_set: bool,
    x: f64,
    y: f64,
    low: f64,
    high: f64,
    left: f64,
    right: f64,
    shape: String,
    radius: f64,
    label: (f64, f64),
}

/// The plot's area: left, top, width, height.
const PLOT: (f64, f64, f64, f64) = (52.0, 24.0, 820.0, 308.0);
/// Colours for models; more than these share the last, and keep their numbers.
const COLOURS: usize = 8;

/// Whether a row is in a Pareto set, where that was decided.
fn in_set(summary: &Summary, row: &Row) -> Option<bool> {
    if summary.by.is_some() {
        return None;
    }
    let mut rows = summary.pareto.iter().flat_map(|set| &set.rows);
    rows.find(|it| it.side.is_of(row)).map(|it| it.in_set)
}

/// The plot; `None` where no row has both a rate and a time.
pub(super) fn front(summary: &Summary) -> Option<Front> {
    let rows = &summary.totals;
    let placed = |row: &Row| Some((row.success.rate?, row.latency.task_ms.p50?));
    let times = rows.iter().flat_map(|row| {
        let task = &row.latency.task_ms;
        [task.p50, task.p50_low, task.p50_high]
    });
    let (left, top, width, height) = PLOT;
    let scale = LogScale::over(times.flatten(), left, width)?;
    let reached = rows.iter().filter(|row| placed(row).is_some());
    let reached = reached.filter_map(|row| row.success.high.or(row.success.rate));
    let (highest, step) = rate_axis(reached.fold(0.0, f64::max));
    let up = |rate: f64| pixel(top + height * (1.0 - rate / highest));
    let mut models: Vec<&str> = Vec::new();
    for row in rows {
        if !models.contains(&row.model.as_str()) {
            models.push(&row.model);
        }
    }
    let class = |model: &str| {
        let place = models.iter().position(|known| *known == model);
        place.unwrap_or_default().min(COLOURS - 1)
    };
    let names = Names::of(summary);
    let memory_of = |row: &Row| peak_memory_bytes(summary, row);
    let most = rows.iter().filter_map(memory_of).max();
    let radius = |row: &Row| match (memory_of(row), most) {
        (Some(bytes), Some(most)) if most > 0 => 5.0 + 9.0 * (bytes as f64 / most as f64).sqrt(),
        _ => 7.0,
    };
    let mut points: Vec<Point> = order_by_success(rows)
        .into_iter()
        .enumerate()
        .filter_map(|(place, row)| {
            let (rate, time) = placed(row)?;
            let task = &row.latency.task_ms;
            let (x, y, radius) = (scale.at(time), up(rate), radius(row));
            let memory = memory_of(row).map_or_else(String::new, |bytes| {
                format!(", {} MB", megabytes(Some(bytes)))
            });
            Some(Point {
                number: place + 1,
                title: format!(
                    "#{} {}: {} % of {}, task p50 {}{memory}",
                    place + 1,
                    names.dotted(row),
                    percent_with_interval(&row.success),
                    row.success.size_in_words(),
                    with_limits(task.p50, task.p50_low, task.p50_high),
                ),
                link: link_of_row(row),
                class: class(&row.model),
                held: row.constraint == Constraint::Grammar,
                in_set: in_set(summary, row) == Some(true),
                low: up(row.success.low.unwrap_or(rate)),
                high: up(row.success.high.unwrap_or(rate)),
                left: scale.at(task.p50_low.unwrap_or(time)),
                right: scale.at(task.p50_high.unwrap_or(time)),
                shape: shape(row.dialect, x, y, radius),
                label: (0.0, 0.0),
                radius,
                x,
                y,
            })
        })
        .collect();
    place_labels(&mut points);
    let mut dialects: Vec<DialectName> = rows.iter().map(|row| row.dialect).collect();
    dialects.sort_unstable();
    dialects.dedup();
    Some(Front {
        left_out: rows.len() - points.len(),
        x_ticks: scale.ticks(),
        y_ticks: (0..=100)
            .map(|index| f64::from(index) * step)
            .filter(|rate| *rate < highest + 1e-9)
            .map(|rate| Tick {
                at: up(rate),
                text: format!("{:.0}", rate * 100.0),
            })
            .collect(),
        models: models
            .iter()
            .map(|model| ModelKey {
                name: (*model).to_owned(),
                class: class(model),
            })
            .collect(),
        dialects: dialects
            .into_iter()
            .map(|dialect| DialectKey {
                name: dialect.as_str(),
                shape: shape(dialect, 9.0, 9.0, 7.0),
            })
            .collect(),
        constraints: rows.iter().any(|row| row.constraint == Constraint::Grammar),
        memory: most.is_some(),
        decided: rows.iter().any(|row| in_set(summary, row).is_some()),
        recommendation: pareto::lines(summary),
        points,
    })
    .filter(|front| !front.points.is_empty())
}

/// Where the axis of rates ends, and its steps: it begins at 0 always.
fn rate_axis(reached: f64) -> (f64, f64) {
    let ends = [(0.1, 0.02), (0.25, 0.05), (0.5, 0.1), (0.75, 0.25)];
    let fits = ends.into_iter().find(|(end, _)| reached <= *end);
    fits.unwrap_or((1.0, 0.25))
}

/// Left, top, right and bottom.
type Area = (f64, f64, f64, f64);

fn overlap(one: Area, two: Area) -> f64 {
    let across = one.2.min(two.2) - one.0.max(two.0);
    let down = one.3.min(two.3) - one.1.max(two.1);
    across.max(0.0) * down.max(0.0)
}

/// Puts each number beside its mark, where it covers the least of other numbers and marks.
fn place_labels(points: &mut [Point]) {
    const TALL: f64 = 11.0;
    let marks: Vec<Area> = points
        .iter()
        .map(|it| {
            (
                it.x - it.radius,
                it.y - it.radius,
                it.x + it.radius,
                it.y + it.radius,
            )
        })
        .collect();
    let mut taken: Vec<Area> = Vec::new();
    for (index, point) in points.iter_mut().enumerate() {
        let wide = 7.5 * point.number.to_string().len() as f64;
        let away = point.radius + 4.0;
        // Left ends and base lines.
        let (left, middle, right) = (point.x - away - wide, point.x - wide / 2.0, point.x + away);
        let (above, level, below) = (point.y - away, point.y + 4.0, point.y + away + TALL);
        let tried = [
            (right, level - 6.0),
            (right, level + 6.0),
            (left, level - 6.0),
            (left, level + 6.0),
            (middle, above),
            (middle, below - 3.0),
            (middle, above - TALL),
            (middle, below + TALL - 3.0),
        ];
        let area = |(x, base): (f64, f64)| (x, base - TALL, x + wide, base + 1.0);
        let covered = |place: (f64, f64)| -> f64 {
            let others = marks.iter().enumerate().filter(|(at, _)| *at != index);
            let others = others.map(|(_, mark)| mark).chain(&taken);
            others.map(|other| overlap(area(place), *other)).sum()
        };
        let best = tried
            .into_iter()
            .min_by(|one, two| covered(*one).total_cmp(&covered(*two)));
        let place = best.unwrap_or((right, level));
        taken.push(area(place));
        point.label = (pixel(place.0), pixel(place.1));
    }
}

/// The outline of a mark: all of about one area.
fn shape(dialect: DialectName, x: f64, y: f64, radius: f64) -> String {
    let corner = |across: f64, down: f64| format!("{} {}", pixel(x + across), pixel(y + down));
    let closed = |corners: &[String]| format!("M{}Z", corners.join("L"));
    match dialect {
        DialectName::Json => {
            let (start, end) = (corner(-radius, 0.0), corner(radius, 0.0));
            let r = pixel(radius);
            format!("M{start}A{r} {r} 0 1 1 {end}A{r} {r} 0 1 1 {start}Z")
        }
        DialectName::React => {
            let half = radius * 0.89;
            closed(&[
                corner(-half, -half),
                corner(half, -half),
                corner(half, half),
                corner(-half, half),
            ])
        }
        DialectName::Native => {
            let reach = radius * 1.25;
            closed(&[
                corner(0.0, -reach),
                corner(reach, 0.0),
                corner(0.0, reach),
                corner(-reach, 0.0),
            ])
        }
        DialectName::Fenced => {
            let reach = radius * 1.35;
            closed(&[
                corner(0.0, -reach * 0.9),
                corner(reach, reach * 0.7),
                corner(-reach, reach * 0.7),
            ])
        }
    }
}
