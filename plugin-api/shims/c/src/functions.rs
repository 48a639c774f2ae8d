//! What the C file may call, as `pathspider_plugin.h` declares it. Each function is safe for the pointers
//! that the header allows: those that the host lends, texts that end with a zero octet, and NULL where it
//! says so.

use std::borrow::Cow;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::net::IpAddr;
use std::ptr;

use pathspider_plugin_api::{
    ConfigId, Error, Flow, Job, Level, OptionValues, Record, Value, forge,
};

use crate::failure::fail;
use crate::lent::{Conclusion, Connecting, Fields, LentFlow, LentFlows};
use crate::measurement::HOST;

/// A text that the C file gives.
///
/// # Safety
///
/// It is null, or ends with a zero octet.
unsafe fn given<'a>(text: *const c_char) -> Cow<'a, str> {
    if text.is_null() {
        return Cow::Borrowed("");
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_string_lossy()
}

/// Declares functions for C: their arguments are as the header says.
macro_rules! functions {
    ($(fn $name:ident($($argument:ident: $type:ty),*) $(-> $given:ty)? $body:block)+) => {
        $(
            /// See the header.
            ///
            /// # Safety
            ///
            /// The pointers are such as the header allows.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $name($($argument: $type),*) $(-> $given)? $body
        )+
    };
}

/// Writes what was read where C wants it.
fn write<T>(read: Option<T>, place: *mut T) -> bool {
    match read {
        Some(read) if !place.is_null() => {
            // SAFETY: the header has it point to a place of this type.
            unsafe { place.write(read) };
            true
        }
        _ => false,
    }
}

fn pointer<T>(value: Option<&T>) -> *const T {
    value.map_or(ptr::null(), ptr::from_ref)
}

// SAFETY, of every block in these functions: pointers are those that the header allows.
functions! {
    fn ps_bool(value: Option<&Value>, read: *mut bool) -> bool {
        write(value.and_then(Value::as_bool), read)
    }

    fn ps_uint(value: Option<&Value>, read: *mut u64) -> bool {
        write(value.and_then(Value::as_u64), read)
    }

    fn ps_int(value: Option<&Value>, read: *mut i64) -> bool {
        write(value.and_then(Value::as_i64), read)
    }

    fn ps_number(value: Option<&Value>, read: *mut f64) -> bool {
        write(value.and_then(Value::as_f64), read)
    }

    fn ps_text(value: Option<&Value>, buffer: *mut c_char, octets: usize) -> bool {
        let Some(text) = value.and_then(Value::as_str) else { return false };
        if buffer.is_null() || text.len() >= octets || text.contains('\0') {
            return false;
        }
        // SAFETY: the buffer has more octets than the text.
        unsafe {
            ptr::copy_nonoverlapping(text.as_ptr().cast(), buffer, text.len());
            buffer.add(text.len()).write(0);
        }
        true
    }

    fn ps_count(value: Option<&Value>) -> usize {
        value.and_then(Value::as_list).map_or(0, <[Value]>::len)
    }

    fn ps_item(value: Option<&Value>, index: usize) -> *const Value {
        pointer(value.and_then(Value::as_list).and_then(|list| list.get(index)))
    }

    fn ps_option_value(options: &OptionValues, name: *const c_char) -> *const Value {
        // SAFETY: as said above.
        let name = unsafe { given(name) };
        let value = options.record().get(&name);
        if value.is_none() {
            fail(Error::contract(format_args!("it reads the option --{name}, which it does not declare")));
        }
        pointer(value)
    }

    fn ps_job_key(job: &Job, key: *const c_char) -> *const Value {
        // SAFETY: as said above.
        pointer(job.record().get(&unsafe { given(key) }))
    }

    fn ps_job_address(job: &Job, octets: *mut u8) -> usize {
        let copy = |from: &[u8]| {
            // SAFETY: there is place for 16 octets.
            unsafe { ptr::copy_nonoverlapping(from.as_ptr(), octets, from.len()) };
            from.len()
        };
        match job.target() {
            IpAddr::V4(address) => copy(&address.octets()),
            IpAddr::V6(address) => copy(&address.octets()),
        }
    }

    fn ps_job_port(job: &Job) -> u16 {
        job.port()
    }

    fn ps_kind(connect: &mut Connecting, kind: *const c_char) {
        // SAFETY: as said above.
        connect.kind = unsafe { given(kind) }.into_owned();
    }

    fn ps_set_bool(connect: &mut Connecting, setting: *const c_char, value: bool) {
        // SAFETY: as said above.
        connect.settings.set(unsafe { given(setting) }.into_owned(), value);
    }

    fn ps_set_uint(connect: &mut Connecting, setting: *const c_char, value: u64) {
        // SAFETY: as said above.
        connect.settings.set(unsafe { given(setting) }.into_owned(), value);
    }

    fn ps_set_text(connect: &mut Connecting, setting: *const c_char, value: *const c_char) {
        // SAFETY: as said above.
        let (setting, value) = unsafe { (given(setting), given(value)) };
        connect.settings.set(setting.into_owned(), value.into_owned());
    }

    fn ps_add_text(connect: &mut Connecting, setting: *const c_char, value: *const c_char) {
        // SAFETY: as said above.
        let (setting, value) = unsafe { (given(setting), given(value)) };
        connect.add(setting.into_owned(), value.into_owned().into());
    }

    fn ps_add_header(connect: &mut Connecting, name: *const c_char, value: *const c_char) {
        // SAFETY: as said above.
        let (name, value) = unsafe { (given(name), given(value)) };
        let before = connect.settings.remove("headers");
        let before = before.as_ref().and_then(Value::as_record).cloned();
        let headers = before.unwrap_or_default().with(name.into_owned(), value.into_owned());
        connect.settings.set("headers", headers);
    }

    fn ps_add_packet(connect: &mut Connecting, packet: *const u8, octets: usize) {
        // SAFETY: there are this many octets.
        let packet = unsafe { std::slice::from_raw_parts(packet, octets) };
        connect.add("packets".to_owned(), packet.to_vec().into());
    }

    fn ps_fill_checksums(packet: *mut u8, octets: usize) {
        // SAFETY: there are this many octets, which nobody else refers to.
        forge::fill_checksums(unsafe { std::slice::from_raw_parts_mut(packet, octets) });
    }

    fn ps_flows_job(flows: &LentFlows<'_>) -> *const Job {
        flows.flows.job()
    }

    fn ps_flow_of(flows: &LentFlows<'_>, configuration: c_uint) -> *const c_void {
        pointer(flows.of(configuration)).cast()
    }

    fn ps_flow_configuration(flow: &LentFlow<'_>) -> c_uint {
        c_uint::try_from(flow.flow.config().index()).unwrap_or(c_uint::MAX)
    }

    fn ps_flow_connected(flow: &LentFlow<'_>) -> bool {
        flow.flow.connected()
    }

    fn ps_flow_field(flow: &LentFlow<'_>, field: *const c_char) -> *const Value {
        // SAFETY: as said above.
        pointer(unsafe { read(flow, field) })
    }

    fn ps_flow_has(flow: &LentFlow<'_>, field: *const c_char) -> bool {
        // SAFETY: as said above.
        unsafe { read(flow, field) }.and_then(Value::as_bool) == Some(true)
    }

    fn ps_flow_uint(flow: &LentFlow<'_>, field: *const c_char, value: *mut u64) -> bool {
        // SAFETY: as said above.
        write(unsafe { read(flow, field) }.and_then(Value::as_u64), value)
    }

    fn ps_flow_outcome(flow: &LentFlow<'_>, key: *const c_char) -> *const Value {
        let outcome: &Record = flow.flow.outcome();
        // SAFETY: as said above.
        pointer(outcome.get(&unsafe { given(key) }))
    }

    fn ps_compare(
        flows: &LentFlows<'_>, conclusion: &mut Conclusion, name: *const c_char, configuration: c_uint
    ) {
        // SAFETY: as said above.
        unsafe { compare(flows, conclusion, name, configuration, |flow| flow.connected()) };
    }

    fn ps_compare_by(
        flows: &LentFlows<'_>, conclusion: &mut Conclusion, name: *const c_char, configuration: c_uint,
        baseline_worked: bool, experiment_worked: bool
    ) {
        let worked = |flow: Flow<'_>| if flow.is(ConfigId::BASELINE) { baseline_worked } else { experiment_worked };
        // SAFETY: as said above.
        unsafe { compare(flows, conclusion, name, configuration, worked) };
    }

    fn ps_conclude_text(conclusion: &mut Conclusion, condition: *const c_char) {
        // SAFETY: as said above.
        let text = unsafe { given(condition) }.into_owned();
        conclusion.conditions.push(pathspider_plugin_api::Condition::of_text(text));
    }

    fn ps_say_bool(fields: &mut Fields<'_, '_>, field: *const c_char, value: bool) {
        // SAFETY: as said above.
        unsafe { say(fields, field, value.into()) };
    }

    fn ps_say_uint(fields: &mut Fields<'_, '_>, field: *const c_char, value: u64) {
        // SAFETY: as said above.
        unsafe { say(fields, field, value.into()) };
    }

    fn ps_say_float(fields: &mut Fields<'_, '_>, field: *const c_char, value: f64) {
        // SAFETY: as said above.
        unsafe { say(fields, field, value.into()) };
    }

    fn ps_say_text(fields: &mut Fields<'_, '_>, field: *const c_char, value: *const c_char) {
        // SAFETY: as said above.
        unsafe { say(fields, field, given(value).into_owned().into()) };
    }

    fn ps_log_text(level: c_int, message: *const c_char) {
        let level = match level {
            0 => Level::Debug,
            1 => Level::Info,
            _ => Level::Warning,
        };
        if let Some(host) = HOST.get() {
            // SAFETY: as said above.
            host.log(level, &unsafe { given(message) });
        }
    }

    fn ps_fail_text(reason: *const c_char) -> c_int {
        // SAFETY: as said above.
        fail(Error::new(unsafe { given(reason) }));
        -1
    }
}

/// A field of a flow; one that there is not is a failure of the function.
///
/// # Safety
///
/// As for [`given`].
unsafe fn read<'f>(flow: &'f LentFlow<'_>, field: *const c_char) -> Option<&'f Value> {
    // SAFETY: the caller's promise.
    match flow.field(&unsafe { given(field) }) {
        Ok(value) => value,
        Err(error) => {
            fail(error);
            None
        }
    }
}

/// Says a field of a chain.
///
/// # Safety
///
/// As for [`given`].
unsafe fn say(fields: &mut Fields<'_, '_>, field: *const c_char, value: Value) {
    // SAFETY: the caller's promise.
    let name = unsafe { given(field) };
    if let Err(error) = fields.written.set_by_name(fields.chain, &name, value) {
        fail(error);
    }
}

/// Adds what a comparison with the baseline comes to, where both were sent as they were meant.
///
/// # Safety
///
/// As for [`given`].
unsafe fn compare(
    flows: &LentFlows<'_>,
    conclusion: &mut Conclusion,
    name: *const c_char,
    configuration: c_uint,
    worked: impl Fn(Flow<'_>) -> bool,
) {
    // SAFETY: the caller's promise.
    match conclusion.plugin.connectivity(&unsafe { given(name) }) {
        Ok(words) => {
            let config = ConfigId::new(configuration as usize);
            conclusion.conditions.extend(flows.evidence.compared(words, config, worked));
        }
        Err(error) => fail(error),
    }
}
