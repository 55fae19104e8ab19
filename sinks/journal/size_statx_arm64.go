package journal

const sysStatx = 291
