/** What we use of postject, which has no types of its own (https://github.com/nodejs/postject). */
declare module 'postject' {
  /** Puts `data` into the program `file`, in place. */
  export function inject(
    file: string,
    resource: string,
    data: Uint8Array,
    options: { readonly sentinelFuse: string },
  ): Promise<void>;
}
