//! The interpreter: its library is loaded when it is needed, and one function of Python's is called.
//!
//! All of Python that is used here is in its stable ABI (PEP 384), so one build of this serves every version
//! from 3.8 on.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::mem::ManuallyDrop;
use std::path::PathBuf;
use std::ptr;

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW, Symbol};
use pathspider_plugin_api::{Error, Result};

/// The minor versions of Python 3 that are looked for, the newest first.
const VERSIONS: std::ops::RangeInclusive<u8> = 8..=20;

/// `Py_file_input` of Python's headers: a whole file is compiled.
const FILE_INPUT: c_int = 257;

type Object = *mut c_void;

/// The functions of Python that are called.
struct Functions {
    ensure: extern "C" fn() -> c_int,
    release: extern "C" fn(c_int),
    text: unsafe extern "C" fn(*const c_char, isize) -> Object,
    octets: unsafe extern "C" fn(Object, *mut isize) -> *const c_char,
    call: unsafe extern "C" fn(Object, ...) -> Object,
    forget: unsafe extern "C" fn(Object),
    clear_error: extern "C" fn(),
}

/// One of Python's modules, and the interpreter around it.
pub(crate) struct Module {
    functions: Functions,
    names: Object,
    lookup: unsafe extern "C" fn(Object, *const c_char) -> Object,
}

// SAFETY: Python's objects are touched by whoever holds the interpreter's lock alone: see `Held`.
unsafe impl Send for Module {}
// SAFETY: as above.
unsafe impl Sync for Module {}

/// The interpreter's lock, held by this thread.
struct Held<'m>(&'m Functions, c_int);

impl<'m> Held<'m> {
    fn take(functions: &'m Functions) -> Held<'m> {
        Held(functions, (functions.ensure)())
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        (self.0.release)(self.1);
    }
}

/// An object that is ours, while the lock is held.
struct Owned<'h>(Object, &'h Held<'h>);

impl<'h> Owned<'h> {
    /// What Python gave; null is an exception, which is forgotten.
    fn given(object: Object, held: &'h Held<'h>) -> Option<Owned<'h>> {
        if object.is_null() {
            (held.0.clear_error)();
            return None;
        }
        Some(Owned(object, held))
    }
}

impl Drop for Owned<'_> {
    fn drop(&mut self) {
        // SAFETY: it is our reference, and the lock is held.
        unsafe { (self.1.0.forget)(self.0) };
    }
}

/// Finds Python's library. Its extension modules need its symbols, so they are global.
fn library() -> Result<ManuallyDrop<Library>> {
    let open = |minor: u8| {
        let name = format!("libpython3.{minor}.so.1.0");
        // SAFETY: constructors of Python's own library run, from where the system has its libraries.
        unsafe { Library::open(Some(name), RTLD_NOW | RTLD_GLOBAL) }.ok()
    };
    let found = VERSIONS.rev().find_map(open);
    found.map(ManuallyDrop::new).ok_or_else(|| {
        Error::new(
            "Python's library is missing: apt-get install libpython3.N, with the N that python3 --version \
             says",
        )
    })
}

/// A function of Python's.
fn function<T: Copy>(library: &Library, name: &CStr) -> Result<T> {
    // SAFETY: each caller gives the type that the stable ABI has for this name.
    let symbol: Result<Symbol<T>, _> = unsafe { library.get(name.to_bytes_with_nul()) };
    match symbol {
        Ok(symbol) => Ok(*symbol),
        Err(_) => Err(Error::new(format_args!("this Python has no {}", name.to_string_lossy()))),
    }
}

/// Begins the interpreter, unless another plugin of this process has. It heeds no variable of the
/// environment and no file of the user's: whoever runs a privileged program does not choose what code it
/// loads.
fn begin(library: &Library) -> Result<()> {
    let is_running: extern "C" fn() -> c_int = function(library, c"Py_IsInitialized")?;
    if is_running() != 0 {
        return Ok(());
    }
    let flags = [c"Py_IsolatedFlag", c"Py_IgnoreEnvironmentFlag", c"Py_NoUserSiteDirectory"];
    for name in flags {
        match function::<*mut c_int>(library, name) {
            // SAFETY: it is Python's own, and nobody runs Python yet.
            Ok(flag) => unsafe { flag.write(1) },
            Err(_) => heeds_no_environment()?,
        }
    }
    // Else Python looks for its folders by the way of PATH.
    if let Ok(set) = function::<unsafe extern "C" fn(*const i32)>(library, c"Py_SetProgramName")
        && let Some(program) = program(library)
    {
        let wide: Vec<i32> = program.chars().chain(['\0']).map(|c| c as i32).collect();
        // SAFETY: it lives as long as the process, and `wchar_t` is of 32 bits here.
        unsafe { set(Vec::leak(wide).as_ptr()) };
    }
    let initialize: extern "C" fn(c_int) = function(library, c"Py_InitializeEx")?;
    let save: extern "C" fn() -> *mut c_void = function(library, c"PyEval_SaveThread")?;
    // Without handlers of signals, which are the host's.
    initialize(0);
    save();
    Ok(())
}

/// Refuses variables of Python that could choose code. This Python has no setting that ignores them.
fn heeds_no_environment() -> Result<()> {
    let heeded = std::env::vars_os().find(|(name, _)| name.to_string_lossy().starts_with("PYTHON"));
    match heeded {
        None => Ok(()),
        Some((name, _)) => Err(Error::new(format_args!(
            "this Python would heed {}; unset it",
            name.to_string_lossy()
        ))),
    }
}

/// The program of this library's own installation: `PREFIX/bin/python3`.
fn program(library: &Library) -> Option<String> {
    let address: *const c_void = function(library, c"Py_InitializeEx").ok()?;
    // SAFETY: all its fields are numbers and pointers.
    let mut found: libc_info::Info = unsafe { std::mem::zeroed() };
    // SAFETY: an address of a loaded library, and a place for the answer.
    let is_found = unsafe { libc_info::dladdr(address, &raw mut found) } != 0;
    if !is_found || found.file.is_null() {
        return None;
    }
    // SAFETY: the dynamic loader's own text, which lives as long as the library does.
    let path = PathBuf::from(unsafe { CStr::from_ptr(found.file) }.to_str().ok()?);
    let prefix = path.ancestors().find(|folder| folder.ends_with("lib"))?.parent()?;
    prefix.join("bin/python3").to_str().map(str::to_owned)
}

/// `dladdr(3)`, which the C library has.
mod libc_info {
    use std::ffi::{c_char, c_int, c_void};

    /// `Dl_info`.
    #[repr(C)]
    pub(super) struct Info {
        pub(super) file: *const c_char,
        base: *mut c_void,
        symbol: *const c_char,
        address: *mut c_void,
    }

    unsafe extern "C" {
        pub(super) fn dladdr(address: *const c_void, info: *mut Info) -> c_int;
    }
}

impl Module {
    /// Runs a text as a module of its own, in which these names stand for these texts.
    ///
    /// # Errors
    ///
    /// Python is missing, or the text is wrong.
    pub(crate) fn run(name: &str, text: &str, given: &[(&str, &str)]) -> Result<Module> {
        let library = library()?;
        begin(&library)?;
        let functions = Functions {
            ensure: function(&library, c"PyGILState_Ensure")?,
            release: function(&library, c"PyGILState_Release")?,
            text: function(&library, c"PyUnicode_FromStringAndSize")?,
            octets: function(&library, c"PyUnicode_AsUTF8AndSize")?,
            call: function(&library, c"PyObject_CallFunctionObjArgs")?,
            forget: function(&library, c"Py_DecRef")?,
            clear_error: function(&library, c"PyErr_Clear")?,
        };
        type Names = unsafe extern "C" fn(Object) -> Object;
        type Compile = unsafe extern "C" fn(*const c_char, *const c_char, c_int) -> Object;
        let add: unsafe extern "C" fn(*const c_char) -> Object =
            function(&library, c"PyImport_AddModule")?;
        let names: Names = function(&library, c"PyModule_GetDict")?;
        let set: unsafe extern "C" fn(Object, *const c_char, Object) -> c_int =
            function(&library, c"PyDict_SetItemString")?;
        let builtins: extern "C" fn() -> Object = function(&library, c"PyEval_GetBuiltins")?;
        let compile: Compile = function(&library, c"Py_CompileString")?;
        let evaluate: unsafe extern "C" fn(Object, Object, Object) -> Object =
            function(&library, c"PyEval_EvalCode")?;
        let lookup = function(&library, c"PyDict_GetItemString")?;
        let broken = || Error::new("Python cannot run what begins the plugin");

        let held = Held::take(&functions);
        let module_name = CString::new(name)?;
        // SAFETY: the lock is held, texts end with a zero octet, and what is borrowed from the module lives as
        // long as it, which nobody removes. Each null is met before it is used.
        let names = unsafe {
            let module = add(module_name.as_ptr());
            if module.is_null() {
                (functions.clear_error)();
                return Err(broken());
            }
            let names = names(module);
            set(names, c"__builtins__".as_ptr(), builtins());
            for (key, value) in given {
                let object = (functions.text)(value.as_ptr().cast(), value.len() as isize);
                let object = Owned::given(object, &held).ok_or_else(broken)?;
                set(names, CString::new(*key)?.as_ptr(), object.0);
            }
            let text = CString::new(text)?;
            let code = compile(text.as_ptr(), c"bridge.py".as_ptr(), FILE_INPUT);
            let code = Owned::given(code, &held).ok_or_else(broken)?;
            Owned::given(evaluate(code.0, names, names), &held).ok_or_else(broken)?;
            names
        };
        drop(held);
        Ok(Module { functions, names, lookup })
    }

    /// Calls a function of the module with texts; it gives one.
    ///
    /// # Errors
    ///
    /// It raised an exception, or gave something else.
    pub(crate) fn call(&self, name: &CStr, arguments: &[&str]) -> Result<String> {
        let functions = &self.functions;
        let held = Held::take(functions);
        let failed = || Error::new(format_args!("Python: {} failed", name.to_string_lossy()));
        let text = |text: &str| {
            // SAFETY: the lock is held, and there are this many octets of UTF-8.
            let object = unsafe { (functions.text)(text.as_ptr().cast(), text.len() as isize) };
            Owned::given(object, &held).ok_or_else(failed)
        };
        // SAFETY: the lock is held. The function is borrowed from the module, which keeps it.
        let function = unsafe { (self.lookup)(self.names, name.as_ptr()) };
        if function.is_null() {
            return Err(failed());
        }
        let arguments =
            arguments.iter().map(|argument| text(argument)).collect::<Result<Vec<_>>>()?;
        let argument = |at: usize| arguments.get(at).map_or(ptr::null_mut(), |argument| argument.0);
        let end: Object = ptr::null_mut();
        // SAFETY: the lock is held, and a null ends the arguments.
        let given = unsafe { (functions.call)(function, argument(0), argument(1), end) };
        let given = Owned::given(given, &held).ok_or_else(failed)?;
        let mut length = 0;
        // SAFETY: the lock is held; of what is no text it gives null.
        let octets = unsafe { (functions.octets)(given.0, &raw mut length) };
        if octets.is_null() {
            (functions.clear_error)();
            return Err(failed());
        }
        // SAFETY: this many octets live as long as the object, which is ours.
        let octets = unsafe { std::slice::from_raw_parts(octets.cast::<u8>(), length as usize) };
        Ok(String::from_utf8_lossy(octets).into_owned())
    }
}
