//! Latency by percentile, drawn.
//!
//! The axis of percentiles has a step for each nine, so that one request in ten thousand gets as
//! much room as one in ten.

use std::error::Error;

use hdrhistogram::Histogram;
use plotters::prelude::*;

use crate::load::figures::Measured;
use crate::load::table;

/// An SVG with a line for each target.
///
/// # Errors
///
/// If it cannot be drawn, which no measurement should cause.
pub fn svg(measured: &[Measured], caption: &str) -> Result<String, Box<dyn Error + Send + Sync>> {
    let mut svg = String::new();
    draw(&mut svg, measured, caption).map_err(|error| error.to_string())?;
    Ok(svg)
}

fn draw(svg: &mut String, measured: &[Measured], caption: &str) -> Result<(), Box<dyn Error>> {
    let lines = measured.iter().map(|target| points(&target.total.latency)).collect::<Vec<_>>();
    let (nines, low, high) = bounds(&lines);
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(caption, ("sans-serif", 18))
        .margin(16)
        .x_label_area_size(48)
        .y_label_area_size(72)
        .build_cartesian_2d(0.0..nines, (low..high).log_scale())?;
    chart
        .configure_mesh()
        .x_labels(nines as usize + 1)
        .x_label_formatter(&|nines| percentile(*nines))
        .x_desc("percentile of requests")
        .y_label_formatter(&|nanos| table::time(*nanos))
        .y_desc("latency")
        .label_style(("sans-serif", 14))
        .light_line_style(WHITE.mix(0.0))
        .draw()?;
    let colored = measured.iter().zip(lines).zip(COLORS);
    for (number, ((target, line), color)) in (1..).zip(colored) {
        let style = color.stroke_width(2);
        let server = &target.server;
        let label = if measured.len() > 1 { format!("{number}: {server}") } else { server.clone() };
        chart
            .draw_series(LineSeries::new(line, style))?
            .label(label)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 24, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.9))
        .border_style(BLACK.mix(0.3))
        .label_font(("sans-serif", 14))
        .legend_area_size(32)
        .draw()?;
    area.present()?;
    Ok(())
}

/// Latency against nines: 0 is the fastest request, 1 the 90th percentile, 2 the 99th. It ends where
/// there is one request left.
fn points(histogram: &Histogram<u64>) -> Vec<(f64, f64)> {
    let most = (histogram.len().max(1) as f64).log10().min(MOST_NINES);
    let steps = (most * STEPS_PER_NINE).ceil() as u32;
    let points = (0..=steps).map(|step| {
        let nines = (f64::from(step) / STEPS_PER_NINE).min(most);
        let latency = histogram.value_at_quantile(1.0 - 10_f64.powf(-nines));
        (nines, latency.max(1) as f64)
    });
    points.collect()
}

/// How far the axes go: to the last point, and to whole powers of ten around all latencies.
fn bounds(lines: &[Vec<(f64, f64)>]) -> (f64, f64, f64) {
    let points = || lines.iter().flatten();
    let nines = points().map(|(nines, _)| *nines).fold(1.0, f64::max);
    let low = points().map(|(_, latency)| *latency).fold(f64::INFINITY, f64::min);
    let high = points().map(|(_, latency)| *latency).fold(1.0, f64::max);
    let power = |exponent: f64| 10_f64.powf(exponent);
    let low = power(low.min(high).log10().floor());
    (nines, low, power(high.log10().ceil()).max(low * 10.0))
}

/// The percentile with so many nines.
fn percentile(nines: f64) -> String {
    let decimals = (nines.round() as usize).saturating_sub(2);
    format!("{:.decimals$} %", 100.0 * (1.0 - 10_f64.powf(-nines)))
}

const SIZE: (u32, u32) = (900, 540);

/// One in a million.
const MOST_NINES: f64 = 6.0;

const STEPS_PER_NINE: f64 = 50.0;

/// Distinct for people who see fewer colours too (Okabe and Ito, "Color universal design", 2008).
const COLORS: [RGBColor; 2] = [RGBColor(0, 114, 178), RGBColor(213, 94, 0)];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::recorder::Record;

    fn measured(server: &str, latencies: impl Iterator<Item = u64>) -> Measured {
        let mut record = Record::new();
        latencies.for_each(|latency| record.latency.saturating_record(latency));
        Measured::new(server.into(), server.into(), vec![record])
    }

    #[test]
    fn the_axis_of_percentiles_counts_nines() {
        let labels = [0.0, 1.0, 2.0, 3.0, 5.0].map(percentile);

        assert_eq!(labels, ["0 %", "90 %", "99 %", "99.9 %", "99.999 %"]);
    }

    #[test]
    fn a_line_ends_where_one_request_is_left() {
        let target = measured("http://a", (1..=1_000).map(|n| n * 1_000));

        let points = points(&target.total.latency);

        assert_eq!(points.last().map(|(nines, _)| *nines), Some(3.0));
        assert!(points.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1));
        assert_eq!(bounds(&[points]), (3.0, 1_000.0, 1_000_000.0));
    }

    #[test]
    fn both_targets_are_in_one_plot() {
        let targets = [
            measured("http://a", (1..=1_000).map(|n| n * 1_000)),
            measured("https://b", (1..=1_000).map(|n| n * 3_000)),
        ];

        let svg = svg(&targets, "Latency <by> percentile").expect("it can be drawn");

        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{svg}");
        for color in ["#0072B2", "#D55E00"] {
            assert_eq!(
                svg.matches(color).count(),
                2,
                "a line, and its sample in the legend: {svg}"
            );
        }
        let words = ["http://a", "https://b", "90 %", "99.9 %", "10.0 µs", "latency", "&lt;by&gt;"];
        for word in words {
            assert!(svg.contains(word), "{word} is missing in {svg}");
        }
    }

    #[test]
    fn nothing_measured_is_drawn_as_nothing() {
        svg(&[measured("http://a", std::iter::empty())], "").expect("an empty plot can be drawn");
    }
}
