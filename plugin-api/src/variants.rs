//! Enums that list their variants by themselves, so that a new one is missed nowhere.

/// Declares an enum without fields, and `ALL`: its variants in their order.
#[doc(hidden)]
#[macro_export]
macro_rules! variants {
    (
        $(#[$about:meta])*
        $visible:vis enum $name:ident {
            $($(#[$meaning:meta])* $variant:ident $(= $number:literal)?,)+
        }
    ) => {
        $(#[$about])*
        $visible enum $name {
            $($(#[$meaning])* $variant $(= $number)?,)+
        }

        impl $name {
            /// All of them, in their order.
            #[allow(dead_code, reason = "some are listed by tests alone")]
            pub(crate) const ALL: [$name; [$($name::$variant,)+].len()] = [$($name::$variant,)+];
        }
    };
}
