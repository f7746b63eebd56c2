//! Pages as documented, over real HTTP.
