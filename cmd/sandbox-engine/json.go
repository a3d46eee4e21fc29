package main

import (
	"encoding/json"
	"reflect"
)

// json prints a value for programs. A list of nothing is [], so that whoever reads it needs no exception.
func (a *app) json(v any) error {
	e := json.NewEncoder(a.out)
	e.SetIndent("", "  ")
	return e.Encode(withLists(v))
}

// withLists is v with every nil slice in it empty.
func withLists(v any) any {
	if v == nil {
		return nil
	}
	out := reflect.New(reflect.TypeOf(v)).Elem()
	out.Set(reflect.ValueOf(v))
	fillLists(out)
	return out.Interface()
}

var marshaler = reflect.TypeFor[json.Marshaler]()

func fillLists(v reflect.Value) {
	if v.Type().Implements(marshaler) || reflect.PointerTo(v.Type()).Implements(marshaler) {
		return
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			if to := v.Elem(); to.CanSet() {
				fillLists(to)
			} else if v.CanSet() { // what an interface holds is a copy
				v.Set(reflect.ValueOf(withLists(to.Interface())))
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() {
				fillLists(f)
			}
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			v.SetMapIndex(k, reflect.ValueOf(withLists(v.MapIndex(k).Interface())))
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 { // a string in base64
			return
		}
		if v.IsNil() {
			v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		}
		for i := range v.Len() {
			fillLists(v.Index(i))
		}
	}
}
