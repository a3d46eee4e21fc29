// Package flat keeps plain data of one program for the same program: structs of strings, numbers,
// booleans, slices, maps with string keys and pointers, as a row of values without names. It is for what
// is read at every start; encoding/json takes ten times as long, most of it to learn the types. Use
// [Marshal] and [Unmarshal].
//
// What is read into another type than it was written from is an error, and so is what was changed since: a sum
// over the names and kinds of all fields and one over all values stand in front. Nil and empty slices and maps stay different.
package flat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
)

// Marshal gives the bytes of *v, a pointer to a struct. The same value gives the same bytes. A type with
// fields of other kinds, or unexported ones, is an error.
func Marshal(v any) ([]byte, error) {
	p := reflect.ValueOf(v)
	if p.Kind() != reflect.Pointer {
		return nil, fmt.Errorf("not a pointer: %T", v)
	}
	sum, err := shape(p.Type().Elem(), offset, 0)
	if err != nil {
		return nil, err
	}
	b := put(binary.LittleEndian.AppendUint64(make([]byte, 8, 4096), sum), p.Elem())
	binary.LittleEndian.PutUint64(b, checksum(b[8:]))
	return b, nil
}

// checksum takes eight bytes at a time, as a start has no time for one after the other. Every step can be
// undone when the bytes are known, so a change within eight of them never goes unnoticed.
func checksum(b []byte) uint64 {
	sum := uint64(len(b)) ^ offset
	for ; len(b) >= 8; b = b[8:] {
		sum = (sum ^ binary.LittleEndian.Uint64(b)) * prime
		sum ^= sum >> 29
	}
	for _, c := range b {
		sum = (sum ^ uint64(c)) * prime
	}
	return sum ^ sum>>32
}

// FNV-1a.
const offset, prime = 14695981039346656037, 1099511628211

// maxDepth bounds how deep a type goes: one that holds itself has no end.
const maxDepth = 16

// shape adds a type to a sum: kinds, and names of fields.
func shape(t reflect.Type, sum uint64, depth int) (uint64, error) {
	sum = (sum ^ uint64(t.Kind())) * prime
	if depth > maxDepth {
		return 0, fmt.Errorf("type %v is too deep", t)
	}
	var err error
	switch t.Kind() {
	case reflect.Bool, reflect.String, reflect.Float64, reflect.Int, reflect.Int64, reflect.Uint8, reflect.Uint32, reflect.Uint64:
	case reflect.Slice, reflect.Pointer:
		return shape(t.Elem(), sum, depth+1)
	case reflect.Map:
		if t.Key().Kind() != reflect.String {
			return 0, fmt.Errorf("keys of type %v", t.Key())
		}
		return shape(t.Elem(), sum, depth+1)
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			if !f.IsExported() {
				return 0, fmt.Errorf("field %s of %v", f.Name, t)
			}
			for _, c := range []byte(f.Name) {
				sum = (sum ^ uint64(c)) * prime
			}
			if sum, err = shape(f.Type, sum, depth+1); err != nil {
				return 0, err
			}
		}
	default:
		return 0, fmt.Errorf("type %v", t)
	}
	return sum, nil
}

func put(b []byte, v reflect.Value) []byte {
	switch v.Kind() {
	case reflect.Bool:
		if v.Bool() {
			return append(b, 1)
		}
		return append(b, 0)
	case reflect.String:
		return append(binary.AppendUvarint(b, uint64(v.Len())), v.String()...)
	case reflect.Int, reflect.Int64:
		return binary.AppendVarint(b, v.Int())
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		return binary.AppendUvarint(b, v.Uint())
	case reflect.Float64:
		return binary.LittleEndian.AppendUint64(b, math.Float64bits(v.Float()))
	case reflect.Pointer:
		if v.IsNil() {
			return append(b, 0)
		}
		return put(append(b, 1), v.Elem())
	case reflect.Slice:
		b = putLen(b, v)
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return append(b, v.Bytes()...)
		}
		for i := range v.Len() {
			b = put(b, v.Index(i))
		}
	case reflect.Map:
		b = putLen(b, v)
		m := map[string]reflect.Value{}
		for k, e := range v.Seq2() {
			m[k.String()] = e
		}
		for _, k := range slices.Sorted(maps.Keys(m)) {
			b = append(binary.AppendUvarint(b, uint64(len(k))), k...)
			b = put(b, m[k])
		}
	case reflect.Struct:
		for i := range v.NumField() {
			b = put(b, v.Field(i))
		}
	}
	return b
}

// putLen writes a length and one, or 0 for nil.
func putLen(b []byte, v reflect.Value) []byte {
	if v.IsNil() {
		return append(b, 0)
	}
	return binary.AppendUvarint(b, uint64(v.Len())+1)
}

var errShort = errors.New("damaged, or of another type")

// Unmarshal reads what [Marshal] gave into *v, which is the zero value. An error means that the bytes are
// of another type or damaged; *v is of no use then.
func Unmarshal(b []byte, v any) error {
	p := reflect.ValueOf(v)
	if p.Kind() != reflect.Pointer {
		return fmt.Errorf("not a pointer: %T", v)
	}
	sum, err := shape(p.Type().Elem(), offset, 0)
	if err != nil {
		return err
	}
	if len(b) < 16 || binary.LittleEndian.Uint64(b) != checksum(b[8:]) || binary.LittleEndian.Uint64(b[8:]) != sum {
		return errShort
	}
	r := reader{b: b[16:]}
	r.get(p.Elem())
	if r.bad || len(r.b) > 0 {
		return errShort
	}
	return nil
}

type reader struct {
	b   []byte
	bad bool
}

// take gives the next n bytes.
func (r *reader) take(n uint64) []byte {
	if r.bad || n > uint64(len(r.b)) {
		r.bad = true
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uvarint() uint64 {
	n, used := binary.Uvarint(r.b)
	if used <= 0 {
		r.bad = true
		return 0
	}
	r.take(uint64(used))
	return n
}

// count reads a length, which cannot be more than what is left: every element has a byte at least, but
// for structs without fields, of which nobody keeps a list.
func (r *reader) count() (n int, isNil bool) {
	u := r.uvarint()
	if u == 0 {
		return 0, true
	}
	if u-1 > uint64(len(r.b)) {
		r.bad = true
		return 0, true
	}
	return int(u - 1), false
}

func (r *reader) get(v reflect.Value) {
	if r.bad {
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(r.byte() == 1)
	case reflect.String:
		v.SetString(string(r.take(r.uvarint())))
	case reflect.Int, reflect.Int64:
		n, used := binary.Varint(r.b)
		if used <= 0 {
			r.bad = true
			return
		}
		r.take(uint64(used))
		v.SetInt(n)
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		v.SetUint(r.uvarint())
	case reflect.Float64:
		if b := r.take(8); b != nil {
			v.SetFloat(math.Float64frombits(binary.LittleEndian.Uint64(b)))
		}
	case reflect.Pointer:
		if r.byte() == 1 {
			v.Set(reflect.New(v.Type().Elem()))
			r.get(v.Elem())
		}
	case reflect.Slice:
		r.list(v)
	case reflect.Map:
		r.table(v)
	case reflect.Struct:
		for i := range v.NumField() {
			r.get(v.Field(i))
		}
	}
}

func (r *reader) list(v reflect.Value) {
	n, isNil := r.count()
	if isNil {
		return
	}
	if v.Type().Elem().Kind() == reflect.Uint8 {
		v.SetBytes(append([]byte{}, r.take(uint64(n))...))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), n, n))
	for i := 0; i < n && !r.bad; i++ {
		r.get(v.Index(i))
	}
}

func (r *reader) table(v reflect.Value) {
	n, isNil := r.count()
	if isNil {
		return
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), n))
	for i := 0; i < n && !r.bad; i++ {
		k := reflect.New(v.Type().Key()).Elem()
		k.SetString(string(r.take(r.uvarint())))
		e := reflect.New(v.Type().Elem()).Elem()
		r.get(e)
		v.SetMapIndex(k, e)
	}
}
