//! Descriptors of unguided samples: a table of local geometry, made tile by tile.

use super::{KindRow, Refused, keys};
use crate::cancel::Cancel;
use crate::device::{Device, DeviceName};
use crate::error::{Error, Result};
use crate::generator::{self, Generator, find_model};
use crate::geometry::{DESCRIPTORS, Descriptor, JacobianEstimator, LocalGeometry, estimator, measure_all};
use crate::limits;
use crate::noise::{self, Stream};
use crate::run::claim;
use crate::run::parse_seeds;
use crate::run::record::{Found, Record, as_recorded, record_path};
use crate::run::work::{Made, Maker, TileState, Work};
use crate::steering::Status;
use crate::store;
use crate::table::{Column, Table, Values, write_csv, write_parquet};
use crate::tile::Tiling;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub const ROW: KindRow = KindRow {
    name: "describe",
    about: "descriptors of unguided samples, as a table",
    open: |plan, folder| Ok(Box::new(Descriptions::open(keys(plan)?, folder)?)),
};

/// The plan's keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DescribePlan {
    /// Model name or path.
    pub model: String,
    /// SHA-256 of its card and weights.
    pub model_sha256: String,
    /// As in `0-63,99`.
    pub seeds: String,
    /// Name of the estimator.
    pub estimator: String,
    /// k of ψ_k.
    pub model_rank: usize,
    /// Samples per tile.
    pub tile: usize,
    /// cpu, wgpu or cuda.
    pub device: String,
}

/// One sample of a record: every column that is defined, with its standard error where there is one.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Described {
    seed: u64,
    status: Status,
    values: Vec<(String, Option<f64>, Option<f64>)>,
}

struct Descriptions {
    plan: DescribePlan,
    folder: PathBuf,
    recipe: String,
    run_id: String,
    seeds: Vec<u64>,
    tiles: Vec<(u64, Vec<u64>)>,
}

impl Descriptions {
    fn open(plan: DescribePlan, folder: &Path) -> Result<Self, Refused> {
        if !(1..=limits::TILE).contains(&plan.tile) {
            return Err(Refused::Key(format!("work.tile: expected 1 to {}, found {}", limits::TILE, plan.tile)));
        }
        let seeds = parse_seeds(&plan.seeds).map_err(|m| Refused::Key(format!("work.seeds: {m}")))?;
        estimator(&plan.estimator)?;
        // The seeds are no part of the recipe: a longer table goes on from a shorter one.
        let keys = toml::Table::from_iter([
            ("format".to_owned(), toml::Value::Integer(1)),
            ("kind".to_owned(), "describe".into()),
            ("version".to_owned(), env!("CARGO_PKG_VERSION").into()),
            ("model_sha256".to_owned(), plan.model_sha256.clone().into()),
            ("estimator".to_owned(), plan.estimator.clone().into()),
            ("model_rank".to_owned(), (plan.model_rank as i64).into()),
            ("tile".to_owned(), (plan.tile as i64).into()),
            ("noise_scheme".to_owned(), i64::from(noise::SCHEME).into()),
            ("device".to_owned(), plan.device.clone().into()),
        ]);
        let recipe = keys.to_string();
        let tiles = Tiling::new(plan.tile).cover(&seeds).into_iter().collect();
        Ok(Self { run_id: claim::run_id(&recipe), recipe, folder: folder.to_owned(), seeds, tiles, plan })
    }

    fn place(&self, tile: u64) -> &(u64, Vec<u64>) {
        &self.tiles[tile as usize]
    }

    fn found(&self, number: u64) -> Found<Described> {
        Record::find(&self.folder, number, &self.run_id)
    }

    fn table(&self) -> Result<Table> {
        let mut rows: BTreeMap<u64, Described> = BTreeMap::new();
        for (number, _) in &self.tiles {
            if let Found::Record(record) = self.found(*number) {
                rows.extend(record.samples.into_iter().map(|s| (s.seed, s)));
            }
        }
        let missing = |seed: &&u64| !rows.contains_key(seed);
        if let Some(seed) = self.seeds.iter().find(missing) {
            return Err(Error::input(&self.folder, format!("seed {seed} is not finished here; run isoline resume")));
        }
        let rows: Vec<&Described> = self.seeds.iter().filter_map(|s| rows.get(s)).collect();
        // Every sample that is finite has the same columns; the first tells their order.
        let first = rows.iter().find(|r| !r.values.is_empty());
        let names: Vec<&String> = first.map(|r| r.values.iter().map(|v| &v.0).collect()).unwrap_or_default();
        let cell = |row: &&Described, name: &str| row.values.iter().find(|v| v.0 == name).map(|v| (v.1, v.2));
        let mut columns =
            vec![Column::new("seed", Values::I64(rows.iter().map(|r| i64::try_from(r.seed).ok()).collect()))];
        for name in names {
            let values = rows.iter().map(|r| cell(r, name).and_then(|c| c.0)).collect();
            columns.push(Column::new(name.as_str(), Values::F64(values)));
            let errors: Vec<Option<f64>> = rows.iter().map(|r| cell(r, name).and_then(|c| c.1)).collect();
            if errors.iter().any(Option::is_some) {
                columns.push(Column::new(format!("{name}_stderr"), Values::F64(errors)));
            }
        }
        Table::new(columns)
    }
}

impl Work for Descriptions {
    fn tiles(&self) -> u64 {
        self.tiles.len() as u64
    }

    fn wanted(&self, tile: u64) -> u64 {
        self.place(tile).1.len() as u64
    }

    fn state(&self, tile: u64, _hash: bool) -> TileState {
        let (number, wanted) = self.place(tile);
        let mut state = TileState { wanted: wanted.len() as u64, ..TileState::default() };
        let path = record_path(*number);
        match self.found(*number) {
            Found::Nothing => {}
            Found::Damaged(why) => state.damaged = Some(format!("{path} {why}")),
            Found::Foreign(why) => state.foreign = Some(format!("{path} {why}")),
            Found::Record(record) => {
                let ours = || record.samples.iter().filter(|s| wanted.contains(&s.seed));
                state.done = ours().count() as u64;
                state.non_finite = ours().filter(|s| s.status == Status::NonFinite).count() as u64;
                state.files.extend(store::sha256_file(&self.folder.join(&path)).ok().map(|hash| (hash, path)));
            }
        }
        state
    }

    fn device_class(&self) -> &str {
        &self.plan.device
    }

    fn claim(&self) -> Result<()> {
        claim::claim(&self.folder, &self.recipe).map(|_| ())
    }

    fn check_claim(&self) -> Result<()> {
        claim::claimed(&self.folder, &self.recipe).map(|_| ())
    }

    fn maker<'a>(&'a self, device: (DeviceName, Device)) -> Box<dyn Maker + 'a> {
        Box::new(DescriptionMaker { work: self, device, loaded: None })
    }

    fn finish(&self) -> Result<()> {
        let table = self.table()?;
        let metadata = [
            ("model".to_owned(), self.plan.model.clone()),
            ("model_sha256".to_owned(), self.plan.model_sha256.clone()),
            ("estimator".to_owned(), self.plan.estimator.clone()),
            ("model_rank".to_owned(), self.plan.model_rank.to_string()),
        ];
        store::write_atomic(&self.folder.join("descriptors.parquet"), &write_parquet(&table, &metadata)?)?;
        store::write_atomic(&self.folder.join("descriptors.csv"), write_csv(&table).as_bytes())
    }

    fn folders(&self) -> Vec<PathBuf> {
        vec![self.folder.clone(), self.folder.join("records"), self.folder.join("shards")]
    }
}

struct DescriptionMaker<'a> {
    work: &'a Descriptions,
    device: (DeviceName, Device),
    loaded: Option<(Arc<dyn Generator>, Box<dyn JacobianEstimator>)>,
}

impl DescriptionMaker<'_> {
    fn load(&self) -> Result<(Arc<dyn Generator>, Box<dyn JacobianEstimator>)> {
        let plan = &self.work.plan;
        let class = self.device.0.class();
        if class != plan.device {
            let message = format!("the run was planned for {}, found {class}", plan.device);
            return Err(Error::config("--device", message));
        }
        let model = find_model(&plan.model)?;
        let generator = generator::load(&model, &self.device.1)?;
        if generator.model_sha256() != plan.model_sha256 {
            let (found, wanted) = (generator.model_sha256(), &plan.model_sha256);
            let message = format!("SHA-256 {found:.12}, expected {wanted:.12}; the run was planned with that model");
            return Err(Error::input(model, message));
        }
        crate::run::engine::check_memory(generator.spec(), plan.tile)?;
        Ok((generator, estimator(&plan.estimator)?))
    }
}

impl Maker for DescriptionMaker<'_> {
    fn make(
        &mut self,
        tile: u64,
        _force: bool,
        tell: &mut dyn FnMut(&Made) -> Result<()>,
        cancel: &Cancel,
    ) -> Result<()> {
        if self.loaded.is_none() {
            self.loaded = Some(self.load()?);
        }
        let Some((generator, estimator)) = &self.loaded else { return Ok(()) };
        cancel.check(|| "nothing of the unfinished tile is kept".into())?;
        let (number, wanted) = self.work.place(tile);
        let d = generator.spec().latent_width;
        let samples: Vec<u64> = Tiling::new(self.work.plan.tile).samples(*number).collect();
        let latents: Vec<f32> = samples.iter().flat_map(|s| noise::normals(0, *s, Stream::Latent, 0, d)).collect();
        let spectra = estimator.spectra(&**generator, &latents)?;
        let all: Vec<&Descriptor> = DESCRIPTORS.iter().collect();
        let mut rows = Vec::new();
        let each = samples.iter().zip(spectra).zip(latents.chunks_exact(d));
        for ((seed, spectrum), latent) in each.filter(|((s, _), _)| wanted.contains(s)) {
            let found = spectrum
                .as_ref()
                .map(|s| measure_all(&LocalGeometry::new(s, latent, self.work.plan.model_rank), &all))
                .unwrap_or_default();
            let finite = |v: Option<f64>| v.filter(|v| v.is_finite());
            let values =
                found.into_iter().map(|(n, m)| (n, finite(m.value()), finite(m.stderr().filter(|e| *e > 0.0))));
            let status = if spectrum.is_some() { Status::Ok } else { Status::NonFinite };
            rows.push(as_recorded(&Described { seed: *seed, status, values: values.collect() })?);
            tell(&Made { job: None, seed: *seed, status })?;
        }
        // Samples of an earlier plan stay.
        if let Found::Record(before) = self.work.found(*number) {
            rows.extend(before.samples.into_iter().filter(|s| !wanted.contains(&s.seed)));
        }
        rows.sort_by_key(|r| r.seed);
        Record::new(&self.work.run_id, *number, rows).write(&self.work.folder)
    }
}
