//! Which Python file this copy of the library runs: the one of the same name beside it.

use std::path::{Path, PathBuf};

use pathspider_plugin_api::{Error, Result};

/// The file `NAME.py` beside this library, `NAME.so`.
///
/// # Errors
///
/// There is no such file, or the library's own path is unknown.
pub(crate) fn beside() -> Result<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    let library = mapped(&maps, beside as *const () as usize)
        .ok_or_else(|| Error::new("/proc/self/maps does not say where the library is"))?;
    let source = library.with_extension("py");
    if source.is_file() {
        Ok(source)
    } else {
        Err(Error::new(format_args!(
            "there is no {} beside it; put a copy of the library, and no link, beside the Python file, under \
             the same name",
            source.display()
        )))
    }
}

/// The file that is mapped at this address. The dynamic loader cannot tell, for the host loads what it has
/// opened, by its descriptor.
fn mapped(maps: &str, address: usize) -> Option<&Path> {
    maps.lines().find_map(|line| {
        let (range, rest) = line.split_once(' ')?;
        let (from, to) = range.split_once('-')?;
        let number = |text| usize::from_str_radix(text, 16).ok();
        let is_here = (number(from)?..number(to)?).contains(&address);
        // Mode, offset, device and inode; then the path, which may have blanks.
        let path = is_here.then(|| rest.find('/').map(|at| &rest[at..]))?;
        path.map(Path::new)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_names_its_file_with_its_blanks() {
        let maps = "7f00-7f10 r--p 00000000 fe:01 12    /lib/one.so\n\
                    7f10-7f20 r-xp 00000000 fe:01 13    /a b/two.so\n\
                    7f20-7f30 rw-p 00000000 00:00 0\n";
        assert_eq!(mapped(maps, 0x7f0f), Some(Path::new("/lib/one.so")));
        assert_eq!(mapped(maps, 0x7f10), Some(Path::new("/a b/two.so")));
        assert_eq!([mapped(maps, 0x7f20), mapped(maps, 0x7f30)], [None, None]);
    }
}
