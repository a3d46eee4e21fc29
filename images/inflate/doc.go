// Package inflate reads gzip: [NewReader]. Layers are pulled by it.
//
// The largest part of the time of a pull is spent here, so this is a decoder for large streams and for nothing else. It looks at eight
// bytes of input at once, takes up to two literals and a match between two looks, copies matches eight bytes at a time, and
// has whole matches and whole symbols as its units, so that the inner loop never stops inside of one. Where the end of
// the input is near, bytes of zero stand behind it, and whoever would have used one of their bits has met the
// end too early.
//
// The formats are RFC 1951 (deflate) and RFC 1952 (gzip); the tables are made as in libdeflate, and which codes
// are refused is as in zlib.
package inflate
