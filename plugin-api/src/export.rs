//! The one macro that turns a crate into a plugin.

/// Exports a crate's measurements and chains: the crate becomes a plugin.
///
/// Use it once, in a crate of type `cdylib`, in any edition:
///
/// ```
/// # mod example {
/// use pathspider_plugin_api::{export_plugin, packet::{Layers, Packet}, Chain, ChainInfo, Fields};
///
/// mod nothing {
///     pathspider_plugin_api::fields! {
///         pub CHAIN = "mychain": "An example that sees nothing";
///     }
/// }
///
/// #[derive(Default)]
/// struct MyChain;
///
/// impl Chain for MyChain {
///     type Flow = ();
///     const LAYERS: Layers = Layers::NONE;
///     fn info() -> ChainInfo {
///         nothing::CHAIN.into()
///     }
///     fn new_flow(&self, _packet: &Packet<'_>) -> Option<()> {
///         Some(())
///     }
///     fn finish(&self, _flow: (), _fields: &mut Fields<'_>) {}
/// }
///
/// export_plugin! { measurements: [], chains: [MyChain] }
/// # }
/// ```
///
/// `export_plugin!(MyMeasurement)` is short for one measurement and no chain.
#[macro_export]
macro_rules! export_plugin {
    ($measurement:ty) => {
        $crate::export_plugin! { measurements: [$measurement], chains: [] }
    };
    (measurements: [$($measurement:ty),* $(,)?], chains: [$($chain:ty),* $(,)?] $(,)?) => {
        const _: () = {
            struct Exported;

            impl $crate::abi::Exports for Exported {
                const MEASUREMENTS: &'static [$crate::abi::MeasurementRef] =
                    &[$($crate::abi::measurement::<$measurement>()),*];
                const CHAINS: &'static [$crate::abi::ChainRef] =
                    &[$($crate::abi::chain::<$chain>()),*];
            }

            // One per library, of that name by the contract; the host reads it as plain C.
            #[allow(unsafe_code)]
            #[unsafe(no_mangle)]
            #[allow(non_upper_case_globals)]
            static pathspider_plugin_descriptor: $crate::abi::Descriptor =
                $crate::abi::Descriptor::new::<Exported>();
        };
    };
}
