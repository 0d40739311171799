// Included last by every header of core/: decisions are plain C++, tested in milliseconds, and never see the
// server.
#ifdef POSTGRES_H
#error "core/ is pure C++: include its headers before any of pg/"
#endif
