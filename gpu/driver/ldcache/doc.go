// Package ldcache reads and writes ld.so.cache, the file in which the dynamic linker looks up where a
// library lies. Use [Parse] for what a host or an image has and [Write] for a new one; [Sort] is the
// order that the linker's binary search wants. It is bytes in, values out; nothing is opened here.
//
// Three forms exist: the old one ("ld.so-1.7.0"), the new one ("glibc-ld.so.cache1.1", the only one that
// glibc has written since 2.32), and the new one embedded behind an old one. Write gives the new one,
// which every glibc since 2.2 reads.
package ldcache
