//! Tables as Parquet files: flat nullable columns, Snappy compression, and the same bytes for the same table.

use std::fs::File;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Arc;

use ::parquet::basic::{Compression, ConvertedType, IntType, LogicalType, Repetition, Type as Physical};
use ::parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use ::parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::{ColumnChunkMetaData, KeyValue};
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use ::parquet::schema::types::{ColumnDescriptor, Type, TypePtr};

use super::{COLUMNS, Column, Table, Values};
use crate::error::{Error, Result};
use crate::limits;

/// Written into every file in place of the Parquet library's version: what made the file is this program.
const CREATED_BY: &str = concat!("isoline version ", env!("CARGO_PKG_VERSION"));
/// How a Parquet file marks the bits of a 64-bit column as a number without a sign.
const UNSIGNED: LogicalType = LogicalType::Integer(IntType { bit_width: 64, is_signed: false });
/// Number of rows encoded together.
const GROUP_ROWS: usize = 131_072;
/// Number of rows decoded at a time.
const BATCH_ROWS: usize = 8_192;
/// The largest Parquet file that is read, in bytes: ten million samples of twenty numbers take 1.6 GB.
const FILE_BYTES: u64 = 2 << 30;
/// The most bytes that all values of a file may unpack to.
const UNPACKED_BYTES: usize = 4 << 30;

type Outcome<T> = Result<T, ParquetError>;

/// The table as a Parquet file, with `metadata` as the file's key-value pairs.
///
/// # Errors
/// [`Error::Bug`] if the Parquet library refuses the table.
pub fn write_parquet(table: &Table, metadata: &[(String, String)]) -> Result<Vec<u8>> {
    try_write(table, metadata).map_err(|error| Error::Bug(format!("a table could not be written as Parquet: {error}")))
}

fn try_write(table: &Table, metadata: &[(String, String)]) -> Outcome<Vec<u8>> {
    let fields = table.columns().iter().map(field_of).collect::<Outcome<Vec<_>>>()?;
    let schema = Arc::new(Type::group_type_builder("schema").with_fields(fields).build()?);
    let pairs = metadata.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())).collect();
    let properties = WriterProperties::builder()
        .set_created_by(CREATED_BY.to_owned())
        .set_compression(Compression::SNAPPY)
        .set_key_value_metadata(Some(pairs))
        .build();
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties))?;
    for start in (0..table.rows()).step_by(GROUP_ROWS) {
        let rows = start..table.rows().min(start + GROUP_ROWS);
        let mut group = writer.next_row_group()?;
        for column in table.columns() {
            match &column.values {
                Values::F64(v) => write_column::<DoubleType, _>(&mut group, &v[rows.clone()], |v| *v)?,
                Values::I64(v) => write_column::<Int64Type, _>(&mut group, &v[rows.clone()], |v| *v)?,
                Values::U64(v) => write_column::<Int64Type, _>(&mut group, &v[rows.clone()], |v| v.cast_signed())?,
                Values::Bool(v) => write_column::<BoolType, _>(&mut group, &v[rows.clone()], |v| *v)?,
                Values::Text(v) => {
                    write_column::<ByteArrayType, _>(&mut group, &v[rows.clone()], |v| {
                        ByteArray::from(v.as_bytes().to_vec())
                    })?;
                }
            }
        }
        group.close()?;
    }
    writer.into_inner()
}

fn field_of(column: &Column) -> Outcome<TypePtr> {
    let physical = match column.values {
        Values::F64(_) => Physical::DOUBLE,
        Values::I64(_) | Values::U64(_) => Physical::INT64,
        Values::Bool(_) => Physical::BOOLEAN,
        Values::Text(_) => Physical::BYTE_ARRAY,
    };
    let mut builder = Type::primitive_type_builder(&column.name, physical).with_repetition(Repetition::OPTIONAL);
    if matches!(column.values, Values::Text(_)) {
        builder = builder.with_logical_type(Some(LogicalType::String)).with_converted_type(ConvertedType::UTF8);
    }
    if matches!(column.values, Values::U64(_)) {
        builder = builder.with_logical_type(Some(UNSIGNED)).with_converted_type(ConvertedType::UINT_64);
    }
    Ok(Arc::new(builder.build()?))
}

fn write_column<D: DataType, V>(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    rows: &[Option<V>],
    value: impl Fn(&V) -> D::T,
) -> Outcome<()> {
    let mut column =
        group.next_column()?.ok_or_else(|| ParquetError::General("fewer columns than the schema".to_owned()))?;
    let present: Vec<D::T> = rows.iter().flatten().map(value).collect();
    let levels: Vec<i16> = rows.iter().map(|row| i16::from(row.is_some())).collect();
    column.typed::<D>().write_batch(&present, Some(&levels), None)?;
    column.close()
}

/// Reads a flat Parquet file, uncompressed or Snappy; 32-bit numbers are widened. Returns the table and the file's
/// key-value pairs in their order (a key without a value gets an empty one).
///
/// Bounded by the file's size (2 GiB), [`limits::SAMPLES`] rows, [`COLUMNS`] columns and 4 GiB of
/// unpacked values.
///
/// # Errors
/// [`Error::Io`] if the file cannot be opened; [`Error::Input`] if it is not a Parquet file, or is damaged, nested, too
/// large or of an unknown type.
pub fn read_parquet(path: &Path) -> Result<(Table, Vec<(String, String)>)> {
    let file = File::open(path).map_err(|e| Error::io(path, "open the table", e))?;
    let about = file.metadata().map_err(|e| Error::io(path, "read the table", e))?;
    if !about.is_file() || about.len() > FILE_BYTES {
        return Err(Error::input(path, format!("expected a Parquet file of at most {} GiB", FILE_BYTES >> 30)));
    }
    // The library panics on some damaged pages (for example a data page whose dictionary is missing). Nothing outlives
    // the call except its result, so unwinding out of it leaves no broken state.
    let head = crate::store::read_head(path)?;
    if let Some(found) = crate::store::told(&head).filter(|_| !head.starts_with(b"PAR1")) {
        return Err(Error::input(path, format!("expected a Parquet table, found {found}")));
    }
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| try_read(file, about.len())))
        .unwrap_or_else(|_| refuse("damaged pages".to_owned()));
    outcome.map_err(|error| {
        let message = error.to_string();
        let message = message.strip_prefix("Parquet error: ").unwrap_or(&message);
        Error::input(path, format!("expected a flat Parquet table, found: {message}"))
    })
}

fn refuse<T>(message: String) -> Outcome<T> {
    Err(ParquetError::General(message))
}

fn try_read(file: File, length: u64) -> Outcome<(Table, Vec<(String, String)>)> {
    let reader = SerializedFileReader::new(file)?;
    let about = reader.metadata().file_metadata();
    let schema = about.schema_descr();
    if schema.num_columns() > COLUMNS {
        return refuse(format!("{} columns, expected at most {COLUMNS}", schema.num_columns()));
    }
    let groups = reader.metadata().row_groups();
    let rows = groups.iter().try_fold(0usize, |sum, group| sum.checked_add(usize::try_from(group.num_rows()).ok()?));
    let Some(rows) = rows.filter(|rows| *rows <= limits::SAMPLES) else {
        return refuse(format!("more than {} rows", limits::SAMPLES));
    };
    for chunk in groups.iter().flat_map(|group| group.columns()) {
        check_place(chunk, length)?;
    }
    let mut columns = schema.columns().iter().map(|about| empty_column(about)).collect::<Outcome<Vec<_>>>()?;
    let mut room = UNPACKED_BYTES;
    for index in 0..reader.num_row_groups() {
        let group = reader.get_row_group(index)?;
        for (at, column) in columns.iter_mut().enumerate() {
            let nullable = schema.column(at).max_def_level() > 0;
            read_column(group.get_column_reader(at)?, &mut column.values, nullable, &mut room)?;
        }
    }
    if let Some(short) = columns.iter().find(|column| column.values.len() != rows) {
        return refuse(format!("column {:?} has {} rows, expected {rows}", short.name, short.values.len()));
    }
    let pairs = about.key_value_metadata().map_or(&[][..], Vec::as_slice);
    let pairs = pairs.iter().map(|pair| (pair.key.clone(), pair.value.clone().unwrap_or_default())).collect();
    Ok((Table::checked(columns).map_err(ParquetError::General)?, pairs))
}

/// The library panics on negative offsets, so they are checked beforehand.
fn check_place(chunk: &ColumnChunkMetaData, length: u64) -> Outcome<()> {
    let start = chunk.dictionary_page_offset().unwrap_or_else(|| chunk.data_page_offset());
    let end = u64::try_from(start).ok().zip(u64::try_from(chunk.compressed_size()).ok());
    match end.and_then(|(start, size)| start.checked_add(size)) {
        Some(end) if end <= length => Ok(()),
        _ => refuse(format!("pages of column {:?} outside the file", chunk.column_path().string())),
    }
}

fn empty_column(about: &ColumnDescriptor) -> Outcome<Column> {
    let name = about.name().to_owned();
    if about.max_rep_level() > 0 || about.max_def_level() > 1 || about.path().parts().len() != 1 {
        return refuse(format!("column {:?} is nested", about.path().string()));
    }
    let plain_number = matches!(about.logical_type_ref(), None | Some(LogicalType::Integer { .. }));
    let text =
        matches!(about.logical_type_ref(), Some(LogicalType::String)) || about.converted_type() == ConvertedType::UTF8;
    let values = match about.physical_type() {
        Physical::DOUBLE | Physical::FLOAT => Values::F64(Vec::new()),
        Physical::INT64 if about.logical_type_ref() == Some(&UNSIGNED) => Values::U64(Vec::new()),
        Physical::INT64 | Physical::INT32 if plain_number => Values::I64(Vec::new()),
        Physical::BOOLEAN => Values::Bool(Vec::new()),
        Physical::BYTE_ARRAY if text => Values::Text(Vec::new()),
        other => return refuse(format!("column {name:?} of type {other}, expected a number, text or a boolean")),
    };
    Ok(Column { name, values })
}

fn read_column(reader: ColumnReader, values: &mut Values, nullable: bool, room: &mut usize) -> Outcome<()> {
    match (reader, values) {
        (ColumnReader::DoubleColumnReader(r), Values::F64(to)) => batches(r, to, nullable, room, |v| Ok((v, 16))),
        (ColumnReader::FloatColumnReader(r), Values::F64(to)) => {
            batches(r, to, nullable, room, |v| Ok((f64::from(v), 16)))
        }
        (ColumnReader::Int64ColumnReader(r), Values::I64(to)) => batches(r, to, nullable, room, |v| Ok((v, 16))),
        (ColumnReader::Int64ColumnReader(r), Values::U64(to)) => {
            batches(r, to, nullable, room, |v| Ok((v.cast_unsigned(), 16)))
        }
        (ColumnReader::Int32ColumnReader(r), Values::I64(to)) => {
            batches(r, to, nullable, room, |v| Ok((i64::from(v), 16)))
        }
        (ColumnReader::BoolColumnReader(r), Values::Bool(to)) => batches(r, to, nullable, room, |v| Ok((v, 1))),
        (ColumnReader::ByteArrayColumnReader(r), Values::Text(to)) => {
            batches(r, to, nullable, room, |v| v.as_utf8().map(|text| (text.to_owned(), 24 + text.len())))
        }
        _ => refuse("a column whose pages differ from the schema".to_owned()),
    }
}

/// Appends all rows of one column chunk; `convert` gives a value and the number of bytes it takes.
fn batches<D: DataType, V>(
    mut reader: ColumnReaderImpl<D>,
    to: &mut Vec<Option<V>>,
    nullable: bool,
    room: &mut usize,
    convert: impl Fn(D::T) -> Outcome<(V, usize)>,
) -> Outcome<()> {
    loop {
        let (mut levels, mut values) = (Vec::new(), Vec::new());
        let (rows, ..) = reader.read_records(BATCH_ROWS, nullable.then_some(&mut levels), None, &mut values)?;
        if rows == 0 {
            return Ok(());
        }
        let mut values = values.into_iter();
        for row in 0..rows {
            let present = !nullable || levels.get(row).is_some_and(|level| *level == 1);
            let value = if present { values.next().map(&convert).transpose()? } else { None };
            *room = match room.checked_sub(value.as_ref().map_or(16, |(_, bytes)| *bytes)) {
                Some(rest) if to.len() < limits::SAMPLES => rest,
                _ => return refuse(format!("more than {} GiB of values", UNPACKED_BYTES >> 30)),
            };
            to.push(value.map(|(value, _)| value));
        }
    }
}
