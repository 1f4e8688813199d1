//! What does it cost to get a connection and give it back, alone? Beside bb8 and deadpool.

#![expect(missing_docs, reason = "criterion's macros make public items")]

mod contenders;

use contenders::{Bb8, Contender, Deadpool, FloorA, FloorB, Ours, Setting};
use criterion::{Criterion, criterion_group, criterion_main};

fn get<C: Contender>(criterion: &mut Criterion, setting: Setting) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let pool = runtime.block_on(async { C::new(8, setting) });
    criterion.bench_function(
        &format!("get + drop, {setting:?}, {}", C::NAME),
        |bencher| {
            bencher.iter_custom(|rounds| {
                runtime.block_on(async {
                    drop(pool.get().await);
                    let clock = criterion::measurement::WallTime;
                    let start = criterion::measurement::Measurement::start(&clock);
                    for _ in 0..rounds {
                        drop(std::hint::black_box(pool.get().await));
                    }
                    criterion::measurement::Measurement::end(&clock, start)
                })
            });
        },
    );
}

fn all(criterion: &mut Criterion) {
    for setting in [Setting::Tuned, Setting::Equal] {
        get::<Ours>(criterion, setting);
        get::<Bb8>(criterion, setting);
        get::<Deadpool>(criterion, setting);
        get::<FloorA>(criterion, setting);
        get::<FloorB>(criterion, setting);
    }
}

criterion_group!(benches, all);
criterion_main!(benches);
