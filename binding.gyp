{
  'targets': [
    {
      'target_name': 'heddle',
      'sources': [
        '<!@(node scripts/list-sources.mjs '
        'native/arch native/os native/os/linux native/core native/sync native/net native/kernels '
        'native/observe native/addon bench/native)',
      ],
      'include_dirs': [
        'native',
        'native/include',
        '.',
        '<!(node -p "require(\'node-addon-api\').include_dir")',
      ],
      'defines': ['NAPI_VERSION=8', 'NODE_ADDON_API_DISABLE_DEPRECATED'],
      'cflags': [
        '-O2',
        '-Wall',
        '-Wextra',
        '-fvisibility=hidden',
        '-fstack-clash-protection',
        '-fno-omit-frame-pointer',
      ],
      # A dlopened library reaches its thread-local variable with one indirect call, not a look-up
      # by name; on arm64 that is the default.
      'conditions': [['target_arch=="x64"', {'cflags': ['-mtls-dialect=gnu2']}]],
      'cflags!': ['-O3', '-fno-exceptions', '-Wno-unused-parameter'],
      'cflags_cc': ['-std=c++17', '-fexceptions', '-frtti', '-fvisibility-inlines-hidden'],
      'cflags_cc!': ['-fno-exceptions', '-fno-rtti', '-std=gnu++17', '-std=gnu++20'],
      # A libstdc++ of our own, none of it visible to others: the process may hold an older one.
      'ldflags': [
        '-static-libstdc++',
        '-static-libgcc',
        '-Wl,--exclude-libs,ALL',
        '-Wl,-z,noexecstack',
      ],
    },
  ],
}
