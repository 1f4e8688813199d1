//! Bars with ranges, and lines.

use std::fmt::Write as _;

use super::html::escape;
use crate::plot::Plot;
use crate::row::{Row, short};

/// One bar per row, from zero, with the range of its rounds.
///
/// Where the greatest is more than thirty times the least the axis is logarithmic, and says so.
pub(super) fn bars(rows: &[&Row]) -> String {
    let medians: Vec<_> = rows.iter().filter_map(|row| row.median).collect();
    let most = rows
        .iter()
        .filter_map(|row| row.max)
        .fold(0.0_f64, f64::max);
    let least = medians
        .iter()
        .copied()
        .filter(|it| *it > 0.0)
        .fold(f64::INFINITY, f64::min);
    let log = least.is_finite() && most > 30.0 * least;
    let from = if log { least / 2.0 } else { 0.0 };
    let place = |value: f64| {
        let share = if log {
            (value.max(from) / from).ln() / (most / from).ln()
        } else if most > 0.0 {
            value / most
        } else {
            0.0
        };
        share.clamp(0.0, 1.0) * BAR_WIDTH
    };
    let height = rows.len() * 22 + 20;
    let mut picture = format!(
        "<svg role=\"img\" viewBox=\"0 0 520 {height}\" width=\"520\" height=\"{height}\">"
    );
    for (index, row) in rows.iter().enumerate() {
        let top = index * 22 + 4;
        let name = escape(&row.contender);
        let _ = write!(picture, "<text x=\"0\" y=\"{}\">{name}</text>", top + 13);
        let (Some(median), Some(min), Some(max)) = (row.median, row.min, row.max) else {
            let _ = write!(picture, "<text x=\"{NAMES}\" y=\"{}\">–</text>", top + 13);
            continue;
        };
        let (color, width) = (color(&row.contender), place(median));
        let (low, high) = (NAMES + place(min), NAMES + place(max));
        let _ = write!(
            picture,
            "<rect x=\"{NAMES}\" y=\"{top}\" width=\"{width:.1}\" height=\"16\" fill=\"{color}\"/>\
             <path d=\"M{low:.1} {0}H{high:.1}\" stroke=\"#000\"/>\
             <text x=\"{1:.1}\" y=\"{2}\">{3}</text>",
            top + 8,
            high.max(NAMES + width) + 5.0,
            top + 13,
            short(median)
        );
    }
    if log {
        let _ = write!(
            picture,
            "<text x=\"{NAMES}\" y=\"{}\" fill=\"#57606a\">logarithmic</text>",
            height - 4
        );
    }
    picture.push_str("</svg>");
    picture
}

/// One line per contender.
pub(super) fn lines(plot: &Plot) -> String {
    let points = || plot.lines.iter().flat_map(|line| &line.points);
    let right = points().map(|point| point.0).fold(0.0_f64, f64::max);
    let top = points().map(|point| point.1).fold(0.0_f64, f64::max);
    let least = points()
        .map(|point| point.1)
        .filter(|it| *it > 0.0)
        .fold(top, f64::min);
    let place = |&(x, y): &(f64, f64)| {
        let across = if right > 0.0 { x / right } else { 0.0 };
        let up = match plot.log {
            true if top > least => (y.max(least) / least).ln() / (top / least).ln(),
            _ if top > 0.0 => y / top,
            _ => 0.0,
        };
        (LEFT + across * WIDTH, BOTTOM - up * HEIGHT)
    };
    let mut picture = format!(
        "<svg role=\"img\" viewBox=\"0 0 860 330\" width=\"860\" height=\"330\">\
         <text x=\"{LEFT}\" y=\"14\" font-weight=\"bold\">{}</text>\
         <path d=\"M{LEFT} 24V{BOTTOM}H{}\" fill=\"none\" stroke=\"#57606a\"/>",
        escape(&plot.title),
        LEFT + WIDTH
    );
    let bottom = if plot.log { least } else { 0.0 };
    let scale = if plot.log { ", logarithmic" } else { "" };
    let _ = write!(
        picture,
        "<text x=\"{0}\" y=\"34\" text-anchor=\"end\">{1}</text>\
         <text x=\"{0}\" y=\"{BOTTOM}\" text-anchor=\"end\">{2}</text>\
         <text x=\"{3}\" y=\"{4}\" text-anchor=\"end\">{5}</text>\
         <text x=\"{LEFT}\" y=\"{4}\">{6}; up: {7}{scale}</text>",
        LEFT - 5.0,
        short(top),
        short(bottom),
        LEFT + WIDTH,
        BOTTOM + 16.0,
        short(right),
        escape(plot.x),
        escape(plot.y)
    );
    for (index, line) in plot.lines.iter().enumerate() {
        let color = color(&line.name);
        let path: Vec<_> = line
            .points
            .iter()
            .map(place)
            .map(|(x, y)| format!("{x:.1} {y:.1}"))
            .collect();
        let y = 40 + index * 18;
        let _ = write!(
            picture,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"1.6\"/>\
             <rect x=\"700\" y=\"{}\" width=\"12\" height=\"12\" fill=\"{color}\"/>\
             <text x=\"717\" y=\"{}\">{}</text>",
            path.join(" "),
            y - 10,
            y,
            escape(&line.name)
        );
    }
    picture.push_str("</svg>");
    picture
}

/// The same contender has the same colour in every picture.
fn color(contender: &str) -> &'static str {
    let known = COLORS.iter().find(|(name, _)| contender.starts_with(name));
    known.map_or("#8c959f", |(_, color)| color)
}

const COLORS: [(&str, &str); 22] = [
    ("pool-facade", "#54aeff"),
    ("connects attempted", "#cf222e"),
    ("gets served", "#1a7f37"),
    ("pool-core", "#0969da"),
    ("ours", "#0969da"),
    ("pool-postgres", "#0969da"),
    ("bb8", "#bc4c00"),
    ("deadpool", "#8250df"),
    ("mobc", "#1a7f37"),
    ("fast_pool", "#bf3989"),
    ("r2d2", "#9a6700"),
    ("sqlx", "#1a7f37"),
    ("recloser", "#bc4c00"),
    ("failsafe", "#8250df"),
    ("tower-resilience", "#1a7f37"),
    ("circuitbreaker-rs", "#bf3989"),
    ("breaker", "#9a6700"),
    ("backon", "#bc4c00"),
    ("tokio-retry2", "#bf3989"),
    ("tokio-retry", "#8250df"),
    ("exponential-backoff", "#9a6700"),
    ("none", "#cf222e"),
];

const NAMES: f64 = 150.0;
const BAR_WIDTH: f64 = 300.0;
const LEFT: f64 = 70.0;
const WIDTH: f64 = 600.0;
const BOTTOM: f64 = 300.0;
const HEIGHT: f64 = 270.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::Line;

    #[test]
    fn a_line_spans_its_axes() {
        let plot = Plot {
            title: "t".into(),
            x: "s",
            y: "ms",
            log: false,
            lines: vec![Line {
                name: "bb8".into(),
                points: vec![(0.0, 0.0), (2.0, 8.0)],
            }],
        };
        let picture = lines(&plot);
        assert!(
            picture.contains("points=\"70.0 300.0 670.0 30.0\""),
            "{picture}"
        );
    }

    #[test]
    fn a_plot_without_points_is_still_a_picture() {
        let plot = Plot {
            title: "t".into(),
            x: "s",
            y: "ms",
            log: true,
            lines: vec![],
        };
        assert!(lines(&plot).ends_with("</svg>"));
        assert!(bars(&[]).ends_with("</svg>"));
    }
}
