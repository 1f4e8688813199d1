#![cfg(not(loom))]
mod support;
use breaker::*;
use support::simulation::*;
use std::time::Duration;

#[test]
fn explore() {
    let binary = Config::new().failure_rate(0.5).consecutive(None).window(Window::Time{buckets:10,width:Duration::from_secs(1)}).minimum_calls(20).open_time(OpenTime::Constant(Duration::from_secs(5))).degraded(None);
    for service_s in [0.01, 0.1] { for in_flight in [0.5, 40.0] { for tail in [0.0, 0.01] {
        let instances = if in_flight > 1.0 { 5 } else { 20 };
        let demand = instances as f64 * in_flight;
        let servers = (demand / 0.69 / 2.0) as usize * 2;
        let possible = (servers as f64 / 2.0 / demand).min(1.0) * (1.0 - tail);
        let long = if service_s > 0.05 && in_flight < 1.0 { 60.0 } else { 30.0 };
        let setup = Setup { instances, in_flight, service_s, timeout_s: if service_s > 0.05 { 1.0 } else { 0.25 }, tail, faults: 0.0, servers, during: Incident::Servers(servers/2), start_s: 3.0, stop_s: 3.0+long, end_s: 3.0+long+10.0, seed: 1 };
        let (mut worst, mut sum, mut opens) = (9.0_f64, 0.0, 0);
        for seed in 1..=4 { let r = run(&Setup{seed, ..setup}, Some(Config::new())); let v = r.success()/possible; worst = worst.min(v); sum += v; opens += r.openings; }
        let calm = run(&Setup{during: Incident::None, ..setup}, Some(Config::new()));
        println!("S {service_s} a {in_flight} tail {tail}: mean {:.3} worst {:.3} opens {opens} calm {:.4}", sum/4.0, worst, calm.success());
    }}}
    for (timeout_s, service_s) in [(0.25, 0.01)] {
        let setup = Setup { instances: 20, in_flight: 0.5, service_s, timeout_s, tail: 0.0, faults: 0.0, servers: 14, during: Incident::Hang, start_s: 3.0, stop_s: 13.0, end_s: 30.0, seed: 1 };
        for seed in 1..4 { let r = run(&Setup{seed,..setup}, Some(Config::new())); println!("hang {:?} {:?}", r.recovery_s, (r.sent, r.offered, r.openings, r.transitions)); }
        for f in [0.1, 0.3,0.6] { let r = run(&Setup{faults: f, during: Incident::None, ..setup}, Some(Config::new())); println!("faults {f} {:?} {} {:?}", r.success(), r.refused, r.transitions); }
    }
}
